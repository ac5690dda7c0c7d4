import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.training.samples import Resident, Samples, batches, images_an_epoch, resident, steps_of_epoch
from tests.support.fits import CPU, Table, fit, samples, weighted


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


@given(st.lists(st.tuples(st.integers(0, 69), st.integers(0, 2)), min_size=1, max_size=9))
def test_resident_inputs_are_the_inputs(wanted):
    inputs = Table(count=70, views=3)
    rows, views = (np.array(column) for column in zip(*wanted))
    copied = Resident(inputs, 70, CPU)
    assert copied.views == inputs.views
    assert torch.equal(copied.take(rows, views), inputs.take(rows, views))


def test_inputs_stay_where_they_are_without_cuda():
    inputs = Table()
    assert resident(inputs, 12, CPU) is inputs


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


# A floor of steps


@given(st.integers(2, 40), st.integers(2, 9), st.integers(1, 6), st.integers(0, 200))
def test_a_training_has_at_least_the_steps_asked_for_and_no_more_than_it_must(count, size, epochs, least):
    data, recipe = samples(count), fit(batch_size=size, epochs=epochs, min_steps=least).recipe
    usual = list(batches(data, size, 7))
    steps = list(steps_of_epoch(data, recipe, 7))
    assert len(steps) == max(len(usual), math.ceil(least / epochs))
    for (rows, views), (first_rows, first_views) in zip(steps, usual):  # the first pass is what it was
        assert np.array_equal(rows, first_rows)
        assert np.array_equal(views, first_views)
    seen = np.bincount(np.concatenate([rows for rows, _ in steps]), minlength=count)
    assert seen.max() - seen.min() <= 1
    assert abs(seen.sum() - images_an_epoch(count, recipe)) <= len(steps)


def test_each_pass_of_an_epoch_has_an_order_of_its_own():
    steps = list(steps_of_epoch(samples(12), fit(batch_size=12, epochs=1, min_steps=3).recipe, 0))
    assert len({tuple(rows) for rows, _ in steps}) == 3
