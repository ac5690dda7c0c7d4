from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pipeline.config.recipe import Recipe
from pipeline.inference.network import make_head
from pipeline.training.batched_heads import HeadStack, stacks
from pipeline.training.loop import Fit, predict
from pipeline.training.samples import Samples

CPU, FEATURES, CLASSES = torch.device("cpu"), 12, 3


class Table:
    """Features in memory: one array per view."""

    def __init__(self, count: int = 40, views: int = 2) -> None:
        rng = np.random.default_rng(0)
        self.labels = rng.integers(0, CLASSES, count)
        self.values = (rng.normal(size=(views, count, FEATURES)) + self.labels[:, None]).astype(np.float32)
        self.views = views

    def take(self, rows: np.ndarray, views: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(self.values[views, rows])


TABLE = Table()
SAMPLES = Samples(TABLE, TABLE.labels, np.arange(30))
VALID = np.arange(30, 40)


def recipe(**wanted: Any) -> Recipe:
    plain = {"backbone": "compact", "weights": "random", "cut": "head", "epochs": 3, "batch_size": 8, "hidden": 7}
    return Recipe(**{**plain, "learning_rate": 0.01, **wanted})


def head(of: Recipe, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    made = make_head(of.head, FEATURES, of.hidden, CLASSES, of.dropout)
    made[0].measure(TABLE.take(SAMPLES.rows, np.zeros(30, dtype=np.int64)))
    return made


def stack(*recipes: Recipe) -> HeadStack:
    return HeadStack([head(each) for each in recipes], recipes, 0, CPU)


def trained(made: HeadStack, epochs: int = 3) -> list[list[float]]:
    return [made.epoch(SAMPLES) for _ in range(epochs)]


def compare_with_each_alone(recipes, samples, losses, found):
    for i, each in enumerate(recipes):
        body = nn.Sequential(head(each))
        alone = Fit(body, each, 0, CPU)
        assert [loss[i] for loss in losses] == pytest.approx([alone.epoch(samples) for _ in range(3)], rel=1e-5)
        np.testing.assert_allclose(found[i], predict(body, TABLE, VALID, CPU), atol=1e-5)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_heads_side_by_side_are_those_trained_one_by_one(kind):
    recipes = [recipe(head=kind, learning_rate=rate, weight_decay=decay, label_smoothing=smoothing)
               for rate, decay, smoothing in ((0.01, 0.1, 0.0), (0.03, 3.0, 0.1), (0.001, 0.0, 0.3))]  # fmt: skip
    together = stack(*recipes)
    losses = trained(together)
    found = together.predict(TABLE, VALID)
    compare_with_each_alone(recipes, SAMPLES, losses, found)


def test_heads_side_by_side_take_the_steps_that_each_alone_would_take():
    recipes = [recipe(learning_rate=rate, min_steps=20) for rate in (0.01, 0.03)]
    together = stack(*recipes)
    losses = trained(together)
    compare_with_each_alone(recipes, SAMPLES, losses, together.predict(TABLE, VALID))


def test_weight_decay_is_each_head_s_own_and_shrinks_no_bias():
    made = stack(*[recipe(weight_decay=decay) for decay in (0.0, 3.0, 9.0)])
    made.standardize = nn.Identity()
    blank = Table()
    blank.values *= 0  # so that weights have no gradient, and biases one that does not depend on them
    with torch.no_grad():
        made.layers[1].fill_(2.0)
    made.epoch(replace(SAMPLES, inputs=blank))
    (none, bias), (some, second), (much, third) = made.views
    assert much.norm() < some.norm() < none.norm()
    assert torch.equal(bias, second)
    assert torch.equal(bias, third)
    assert not torch.equal(bias, torch.full_like(bias, 2.0))


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_dropout_is_each_head_s_own(kind):
    recipes = [recipe(head=kind, dropout=rate) for rate in (0.0, 0.5, 0.5)]
    first, second, third = zip(*trained(stack(*recipes)))
    assert second == pytest.approx(third, rel=1e-6)
    assert first != pytest.approx(second, rel=1e-3)
    assert first == pytest.approx([loss for (loss,) in trained(stack(recipes[0]))], rel=1e-5)


def test_dropout_keeps_the_expected_size_of_what_goes_through():
    made = stack(*[recipe(dropout=rate, learning_rate=1e-12) for rate in (0.0, 0.3)])
    x = TABLE.take(np.arange(40), np.zeros(40, dtype=np.int64))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        mean = torch.stack([made._logits(x, generator) for _ in range(3000)]).mean(0)
    torch.testing.assert_close(mean[0], mean[1], atol=0.05, rtol=0.05)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_the_same_stack_twice_is_the_same_to_the_bit(kind):
    recipes = [recipe(head=kind, dropout=0.2, learning_rate=rate) for rate in (0.01, 0.1)]
    first, second = stack(*recipes), stack(*recipes)
    assert trained(first) == trained(second)
    assert (first.predict(TABLE, VALID) == second.predict(TABLE, VALID)).all()


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_heads_go_on_in_another_stack_as_if_nothing_had_happened(kind):
    recipes = [recipe(head=kind, dropout=0.2, learning_rate=rate) for rate in (0.01, 0.03, 0.1)]
    whole, begun, resumed = stack(*recipes), stack(*recipes), stack(*recipes)
    trained(begun, 1)
    resumed.restore([begun.state(i) for i in range(3)])
    assert resumed.done == 1
    assert trained(whole)[1:] == trained(resumed, 2)
    fewer = stack(recipes[2], recipes[0])
    fewer.restore([begun.state(2), begun.state(0)])
    last = trained(fewer, 2)[-1]
    assert last == pytest.approx([trained(stack(each))[-1][0] for each in (recipes[2], recipes[0])], rel=1e-5)


def test_a_head_that_diverges_leaves_its_neighbours_alone():
    good, bad = recipe(), recipe(learning_rate=1e30)
    losses = trained(stack(good, bad, good))
    alone = trained(stack(good))
    assert not np.isfinite(losses[-1][1])
    for each in (0, 2):
        assert [loss[each] for loss in losses] == pytest.approx([loss[0] for loss in alone], rel=1e-5)


@given(st.lists(st.tuples(st.sampled_from(["linear", "mlp"]), st.integers(1, 3), st.sampled_from([8, 300, 2000]))))
def test_stacks_hold_every_head_once_and_heads_of_one_shape(shapes):
    recipes = [recipe(head=kind, epochs=epochs, hidden=hidden) for kind, epochs, hidden in shapes]
    found = stacks(recipes)
    assert sorted(i for members in found for i in members) == list(range(len(recipes)))
    for members in found:
        assert members == sorted(members)
        assert len({(recipes[i].head, recipes[i].epochs, recipes[i].hidden) for i in members}) == 1
        assert 1 <= len(members) <= 128


@pytest.mark.parametrize("kind", ["linear", "mlp"])
@pytest.mark.parametrize("weighted", [False, True])
def test_weighted_heads_side_by_side_are_those_trained_one_by_one(kind, weighted):
    recipes = [
        recipe(head=kind, class_weight_power=class_weight_power, label_smoothing=0.1 * class_weight_power)
        for class_weight_power in (0.0, 0.5, 1.0)
    ]
    weights = np.random.default_rng(1).uniform(0.1, 5, len(TABLE.labels)) if weighted else None
    samples = replace(SAMPLES, weights=weights)
    together = stack(*recipes)
    losses = [together.epoch(samples) for _ in range(3)]
    found = together.predict(TABLE, VALID)
    compare_with_each_alone(recipes, samples, losses, found)
    assert abs(found[0] - found[2]).max() > 1e-3


def test_a_head_beside_balanced_ones_is_the_head_beside_plain_ones_to_the_bit():
    first = trained(stack(recipe(), recipe()))
    second = trained(stack(recipe(), recipe(class_weight_power=1.0)))
    assert [loss[0] for loss in first] == [loss[0] for loss in second]
