import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import nn

from pipeline.config.recipe import Recipe
from pipeline.training.loop import DivergedError, Fit, Resident, Samples, batches, one_cycle, predict, resident

CPU = torch.device("cpu")
PLAIN = {"backbone": "compact", "weights": "random", "cut": "input", "epochs": 4, "batch_size": 4}


class Table:
    """Vectors by view and row, which remember what was taken."""

    def __init__(self, count: int = 12, views: int = 2, features: int = 3) -> None:
        self.values = np.random.default_rng(0).normal(size=(views, count, features)).astype(np.float32)
        self.views, self.taken = views, list[tuple[int, int]]()

    def take(self, rows: np.ndarray, views: np.ndarray) -> torch.Tensor:
        self.taken += zip(rows.tolist(), views.tolist())
        return torch.from_numpy(self.values[views, rows])


def samples(count: int = 12, views: int = 2) -> Samples:
    return Samples(Table(count, views), np.arange(count) % 2, np.arange(count))


def fit(seed: int = 1, **recipe: Any) -> Fit:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 2))
    return Fit(body, Recipe(**{**PLAIN, "learning_rate": 0.01, **recipe}), seed, CPU)


def seen(by: Fit, epochs: int = 1) -> list[list[tuple[int, int]]]:
    """Return the (row, view) pairs of each epoch, in order."""
    data, found = samples(), []
    for _ in range(epochs):
        data.inputs.taken.clear()
        by.epoch(data)
        found.append(list(data.inputs.taken))
    return found


@given(st.floats(0, 1))
@example(0.25)
def test_the_learning_rate_is_a_share_of_its_peak(t):
    assert 0 < one_cycle(t) <= 1


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_learning_rate_rises_for_a_quarter_and_falls_from_there(s, t):
    s, t = sorted((s, t))
    if t <= 0.25:
        assert one_cycle(s) <= one_cycle(t)
    elif s >= 0.25:
        assert one_cycle(s) >= one_cycle(t)


def test_the_learning_rate_reaches_its_peak_and_ends_near_nothing():
    assert one_cycle(0.25) == pytest.approx(1, abs=1e-3)
    assert one_cycle(0) < 0.1
    assert one_cycle(1) < 1e-3


@given(st.integers(2, 40), st.integers(2, 9), st.integers(1, 4))
def test_every_row_is_seen_once_an_epoch(count, size, views):
    data = samples(count, views)
    fit(batch_size=size).epoch(data)
    assert sorted(row for row, _ in data.inputs.taken) == list(range(count))
    assert {view for _, view in data.inputs.taken} <= set(range(views))


@given(st.integers(2, 300), st.integers(2, 70))
@example(38, 32)
@example(33, 32)
@example(9, 2)
def test_the_images_of_an_epoch_are_spread_evenly_over_its_batches(count, size):
    sizes = [len(rows) for rows, views in batches(samples(count), size, 0) if len(rows) == len(views)]
    assert sum(sizes) == count
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 2  # BatchNorm needs two
    if size == 2 and count % 2:  # pairs would leave one alone
        assert max(sizes) == 3
    else:
        assert len(sizes) == math.ceil(count / size)
        assert max(sizes) <= size


def test_a_single_image_is_a_batch():
    assert [len(rows) for rows, _ in batches(samples(1), 8, 0)] == [1]


@given(st.integers(0, 2**31))
def test_order_and_views_depend_on_seed_and_epoch_alone(noise):
    plain = seen(fit(), 2)
    torch.manual_seed(noise)
    np.random.seed(noise)
    assert seen(fit(learning_rate=0.02, dropout=0.3, weight_decay=0.0, epochs=9), 2) == plain
    assert plain[0] != plain[1]
    assert seen(fit(seed=2), 2) != plain


def test_random_changes_are_drawn_from_seed_and_epoch_alone():
    def drawn(by):
        found: list[float] = []

        def transform(batch, generator):
            found.append(float(torch.rand((), generator=generator)))
            return batch

        by.epoch(samples(), transform)
        torch.rand(())
        by.epoch(samples(), transform)
        return found

    first = drawn(fit())
    assert drawn(fit()) == first
    assert len(set(first)) == len(first)
    assert drawn(fit(seed=2)) != first


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_a_loss_that_is_no_number_raises_and_does_not_count_as_an_epoch(poison):
    data, by = samples(), fit()
    by.epoch(data)
    data.inputs.values[:, 5] = poison
    with pytest.raises(DivergedError, match="nan in epoch 2"):
        by.epoch(data)
    assert by.done == 1


def test_training_lowers_the_loss():
    data, by = samples(views=1), fit(epochs=30, learning_rate=0.03, batch_size=12)
    by.body[2].p = 0.0
    learnable = replace(data, labels=(data.inputs.values[0, :, 0] > 0).astype(np.int64))
    losses = [by.epoch(learnable) for _ in range(30)]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("decay", [0.5, 1.0])
def test_stages_learn_more_slowly_by_a_factor_for_each_one_between_them_and_the_head(decay):
    torch.manual_seed(0)
    body = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2))
    before = [stage.weight.detach().clone() for stage in body]
    recipe = Recipe(**{**PLAIN, "learning_rate": 0.01, "layer_decay": decay, "weight_decay": 0, "batch_size": 12})
    Fit(body, recipe, 1, CPU).epoch(samples())  # one step, whose size is the learning rate: Adam's first
    steps = [float((stage.weight.detach() - old).abs().max()) for stage, old in zip(body, before)]
    assert steps == pytest.approx([0.01 * one_cycle(0) * decay**depth for depth in (2, 1, 0)], rel=1e-3)


@pytest.mark.parametrize("epochs", [1, 3])
def test_weight_decay_shrinks_weights_and_neither_biases_nor_what_a_norm_scales_and_shifts(epochs):
    found = {}
    for decay in (0.0, 5.0):
        by = fit(weight_decay=decay, learning_rate=1e-3, layer_decay=0.5)
        for parameter in by.body.parameters():
            parameter.grad = torch.zeros_like(parameter)
            nn.init.constant_(parameter, 2.0)
        for _ in range(epochs):  # without a gradient nothing but decay acts
            by.optimizer.step()
        found[decay] = {name: tensor.detach().clone() for name, tensor in by.body.named_parameters()}
    assert set(found[0.0]) == {f"{n}.{part}" for n in (0, 1, 3) for part in ("weight", "bias")}
    shrunk = {name for name, tensor in found[5.0].items() if not torch.equal(tensor, found[0.0][name])}
    assert shrunk == {"0.weight", "3.weight"}
    assert all((found[5.0][name] < 2.0).all() for name in shrunk)


@pytest.mark.parametrize(("batchnorm", "kept"), [("keep", True), ("adapt", False)])
def test_batchnorm_keeps_the_statistics_of_the_source_or_adapts_them(batchnorm, kept):
    by = fit(batchnorm=batchnorm)
    norm = by.body[1]
    before = {name: tensor.clone() for name, tensor in norm.named_buffers()}
    weight = norm.weight.detach().clone()
    by.epoch(samples())
    assert all(torch.equal(tensor, before[name]) for name, tensor in norm.named_buffers()) == kept
    assert not torch.equal(norm.weight, weight)


def test_statistics_that_are_kept_are_the_ones_training_normalises_by():
    data, by = samples(views=1), fit(batchnorm="keep", learning_rate=1e-30, batch_size=12)
    by.body[2].p = 0.0
    labels = torch.from_numpy(data.labels)
    with torch.inference_mode():
        expected = nn.functional.cross_entropy(by.body.eval()(torch.from_numpy(data.inputs.values[0])), labels)
    assert by.epoch(data) == pytest.approx(float(expected), rel=1e-5)


def test_a_restored_training_goes_on_where_it_was():
    whole, begun, ended = fit(), fit(), fit(seed=1)
    losses = [whole.epoch(samples()) for _ in range(3)]
    assert begun.epoch(samples()) == losses[0]
    ended.restore(begun.state())
    assert [ended.epoch(samples()), ended.epoch(samples())] == losses[1:]
    assert ended.done == 3


@given(st.lists(st.integers(0, 11), min_size=1, max_size=150))
def test_predictions_come_in_the_order_of_the_rows_whatever_the_batch(rows):
    data, by = samples(), fit()
    by.body.train()
    every = predict(by.body, data.inputs, data.rows, CPU)
    np.testing.assert_allclose(predict(by.body, data.inputs, np.array(rows), CPU), every[rows], atol=1e-7)
    np.testing.assert_allclose(every.sum(1), 1)
    assert every.dtype == np.float64


def test_predictions_are_the_mean_over_the_first_views():
    data, by = samples(views=3), fit()
    single = []
    for view in range(2):
        data.inputs.values = np.roll(data.inputs.values, -view, axis=0)
        single.append(predict(by.body, data.inputs, data.rows, CPU))
    data.inputs.values = np.roll(data.inputs.values, 1, axis=0)
    np.testing.assert_allclose(predict(by.body, data.inputs, data.rows, CPU, views=2), np.mean(single, axis=0))


@given(st.lists(st.tuples(st.integers(0, 69), st.integers(0, 2)), min_size=1, max_size=9))
def test_resident_inputs_are_the_inputs(wanted):
    inputs = Table(count=70, views=3)
    rows, views = (np.array(column) for column in zip(*wanted))
    copied = Resident(inputs, 70, CPU)
    assert copied.views == inputs.views
    assert torch.equal(copied.take(rows, views), inputs.take(rows, views))


def test_a_training_on_resident_inputs_is_the_same():
    data = samples()
    assert fit().epoch(replace(data, inputs=Resident(data.inputs, 12, CPU))) == fit().epoch(data)


def test_inputs_stay_where_they_are_without_cuda():
    inputs = Table()
    assert resident(inputs, 12, CPU) is inputs


def test_half_precision_changes_the_loss_a_little_and_the_parameters_stay_single():
    losses = []
    for precision in ("float32", "bf16"):
        torch.manual_seed(0)
        by = Fit(nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2)), fit().recipe, 1, CPU, precision)
        losses.append(by.epoch(samples()))
        assert {tensor.dtype for tensor in by.body.state_dict().values()} == {torch.float32}
        assert predict(by.body, samples().inputs, np.arange(12), CPU, 1, precision).dtype == np.float64
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


def weighted(weights: Any, labels: Any = None, count: int = 12) -> Samples:
    data = samples(count, views=1)
    own = None if weights is None else np.array(weights, dtype=np.float64)
    return replace(data, labels=data.labels if labels is None else np.array(labels), weights=own)


def plain(**recipe: Any) -> Fit:
    """Return a training without dropout or BatchNorm, whose batches hold all images."""
    torch.manual_seed(0)
    wanted = {**PLAIN, "learning_rate": 0.01, "batch_size": 64, **recipe}
    return Fit(nn.Sequential(nn.Linear(3, 5), nn.GELU(), nn.Linear(5, 3)), Recipe(**wanted), 1, CPU)


def trained(by: Fit, data: Samples, epochs: int = 3) -> tuple[list[float], list[torch.Tensor]]:
    """Return the losses of some epochs, and what was learned."""
    return [by.epoch(data) for _ in range(epochs)], [tensor.detach().clone() for tensor in by.body.parameters()]


def assert_same(one: Any, other: Any) -> None:
    assert one[0] == pytest.approx(other[0], rel=1e-5)
    for a, b in zip(one[1], other[1]):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "recipe", [{}, {"class_weight_power": 0.5}, {"class_weight_power": 1.0, "label_smoothing": 0.2}]
)
def test_an_image_of_weight_two_counts_as_that_image_twice(recipe):
    data = weighted([2, 1, 1, 3, 1, 1, 1, 1, 1, 1, 1, 1], [0, 1, 2] * 4)
    twice = replace(data, rows=np.repeat(data.rows, data.weights.astype(int)), weights=None)
    assert_same(trained(plain(**recipe), data), trained(plain(**recipe), twice))
    assert trained(plain(**recipe), data)[0] != pytest.approx(trained(plain(**recipe), weighted(None, data.labels))[0])


@given(st.floats(1e-300, 1e300), st.floats(0, 1))
@example(5e307, 1.0)  # their sum is no number any more
def test_weights_scaled_by_a_constant_change_nothing(factor, class_weight_power):
    weights = np.array([2.0, 0.5, 1, 3, 1, 1, 1, 1, 1, 1, 1, 0.1])
    found = [data.weigh(class_weight_power).of(data.rows) for data in (weighted(weights), weighted(weights * factor))]
    np.testing.assert_allclose(*found, rtol=1e-5)


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0.1, 10)), min_size=2, max_size=30), st.floats(0.01, 1))
def test_weights_are_one_on_average_and_full_balance_gives_each_class_the_same_say(pairs, class_weight_power):
    labels, weights = np.array([a for a, _ in pairs]), np.array([b for _, b in pairs])
    for own in (None, weights):
        data = Samples(Table(len(pairs)), labels, np.arange(len(pairs)), own)
        assert data.weigh(1.0).of(data.rows).mean() == pytest.approx(1, rel=1e-5)
        totals = np.bincount(labels, data.weigh(1.0).of(data.rows))
        np.testing.assert_allclose(totals[totals > 0], totals.max(), rtol=1e-5)
        shares = np.bincount(labels, data.weigh(class_weight_power).of(data.rows))[np.unique(labels)]
        before = np.bincount(labels, own)[np.unique(labels)]
        np.testing.assert_allclose(
            shares / shares.sum(), before ** (1 - class_weight_power) / (before ** (1 - class_weight_power)).sum()
        )


def test_weights_are_balanced_over_the_images_trained_on_alone():
    data = replace(weighted(None, [0] * 8 + [1] * 4), rows=np.array([0, 1, 2, 8]))
    np.testing.assert_allclose(data.weigh(1.0).of(data.rows), [2 / 3, 2 / 3, 2 / 3, 2], rtol=1e-6)


def test_without_weights_and_balance_nothing_is_weighed():
    assert weighted(None).weigh(0.0) is None
    # What is weighed by 1 differs by rounding alone.
    assert_same(trained(plain(), weighted(None)), trained(plain(), weighted([1.0] * 12)))


def test_the_loss_reported_is_a_weighted_mean_whatever_the_batches():
    by = plain(learning_rate=1e-30, batch_size=5)
    torch.nn.init.zeros_(by.body[2].weight)
    torch.nn.init.zeros_(by.body[2].bias)  # each image's loss is log 3
    assert by.epoch(weighted(np.arange(1, 13), [0, 1, 2] * 4)) == pytest.approx(math.log(3), rel=1e-6)
