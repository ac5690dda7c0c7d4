import io
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
from pipeline.config.strategies import WARM_UP
from pipeline.training.loop import DivergedError, Fit, one_cycle, predict
from pipeline.training.samples import Resident, Samples
from tests.support.fits import CPU, PLAIN, fit, outputs, plain, samples, weighted


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


@pytest.mark.parametrize("head_rate", [0.1, 1.0])
@pytest.mark.parametrize("decay", [0.5, 1.0])
def test_stages_learn_more_slowly_by_a_factor_for_each_one_between_them_and_the_head(decay, head_rate):
    torch.manual_seed(0)
    body = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2))
    before = [stage.weight.detach().clone() for stage in body]
    recipe = Recipe(**{**PLAIN, "learning_rate": 0.01, "layer_decay": decay, "weight_decay": 0, "batch_size": 12,
                       "head_rate": head_rate})  # fmt: skip
    Fit(body, recipe, 1, CPU).epoch(samples())  # one step, whose size is the learning rate: Adam's first
    steps = [float((stage.weight.detach() - old).abs().max()) for stage, old in zip(body, before)]
    assert steps == pytest.approx([0.01 * one_cycle(0) * factor for factor in (decay**2, decay, head_rate)], rel=1e-3)


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


def test_a_training_on_resident_inputs_is_the_same():
    data = samples()
    assert fit().epoch(replace(data, inputs=Resident(data.inputs, 12, CPU))) == fit().epoch(data)


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


def test_without_weights_and_balance_nothing_is_weighed():
    assert weighted(None).weigh(0.0) is None
    # What is weighed by 1 differs by rounding alone.
    assert_same(trained(plain(), weighted(None)), trained(plain(), weighted([1.0] * 12)))


def test_the_loss_reported_is_a_weighted_mean_whatever_the_batches():
    by = plain(learning_rate=1e-30, batch_size=5)
    torch.nn.init.zeros_(by.body[2].weight)
    torch.nn.init.zeros_(by.body[2].bias)  # each image's loss is log 3
    assert by.epoch(weighted(np.arange(1, 13), [0, 1, 2] * 4)) == pytest.approx(math.log(3), rel=1e-6)


# What a recipe can add: mixup, clipping, averaging, a floor of steps

EXTRAS = [
    {"mixup": 0.4},
    {"mixup": 0.4, "label_smoothing": 0.1, "class_weight_power": 0.5},
    {"ema": 0.9},
    {"gradient_clip": 0.1},
    {"min_steps": 30},
    {"mixup": 1.0, "ema": 0.99, "gradient_clip": 0.5, "min_steps": 25},
]
every_extra = pytest.mark.parametrize("extra", EXTRAS, ids=lambda extra: "+".join(extra))


@every_extra
def test_the_same_seed_gives_the_same_training(extra):
    found = []
    for _ in range(2):
        by = fit(**extra)
        torch.rand(3)
        found.append(([by.epoch(samples()) for _ in range(3)], outputs(by).tolist()))
    assert found[0] == found[1]
    other = fit(seed=2, **extra)
    assert [other.epoch(samples()) for _ in range(3)] != found[0][0]


@every_extra
@pytest.mark.parametrize("stop", [0, 1, 3])
def test_a_training_resumed_after_any_epoch_ends_the_same(extra, stop):
    whole, begun, resumed = fit(**extra), fit(**extra), fit(**extra)
    losses = [whole.epoch(samples()) for _ in range(4)]
    for _ in range(stop):
        begun.epoch(samples())
    file = io.BytesIO()
    torch.save(begun.state(), file)
    file.seek(0)
    resumed.restore(torch.load(file, weights_only=True))
    assert [resumed.epoch(samples()) for _ in range(stop, 4)] == losses[stop:]
    assert np.array_equal(outputs(resumed), outputs(whole))


@every_extra
def test_a_learning_rate_of_nothing_changes_no_weight(extra):
    by = fit(**extra)
    by.recipe = by.recipe.model_copy(update={"learning_rate": 0.0})
    before = {name: tensor.detach().clone() for name, tensor in by.body.named_parameters()}
    for _ in range(3):
        by.epoch(samples())
    assert all(torch.equal(tensor, before[name]) for name, tensor in by.body.named_parameters())


def test_a_gradient_is_clipped_to_its_largest_norm():
    norms = []
    for clip in (0.0, 0.01, 1e6):
        by = fit(gradient_clip=clip)
        by.epoch(samples())
        norms.append(float(torch.stack([p.grad.norm() for p in by.body.parameters()]).norm()))
    assert norms[1] == pytest.approx(0.01, rel=1e-3)
    assert norms[0] == norms[2] > 0.01


def test_the_learning_rate_peaks_where_the_warm_up_ends_before_which_no_rung_may_lie():
    assert one_cycle(WARM_UP) == 1
    assert max(one_cycle(t) for t in (WARM_UP - 0.01, WARM_UP + 0.01)) < 1
