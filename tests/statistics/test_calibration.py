from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.statistics.calibration import (
    MOST_BINS,
    bin_count,
    calibration_error,
    expected_if_calibrated,
    reliability,
    scale,
    summarise,
    temperature,
)
from pipeline.statistics.schema import ReliabilityBin
from pipeline.training.metrics import score


@st.composite
def predictions(draw, fewest=1):
    """Labels and probabilities with ties and zeros among them."""
    classes = draw(st.integers(2, 4))
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=fewest, max_size=40))
    rows = [draw(st.lists(st.integers(0, 9), min_size=classes, max_size=classes).filter(sum)) for _ in labels]
    return np.array(labels), np.array(rows) / np.sum(rows, axis=1, keepdims=True)


def simulated(images, classes, sharpness=1.0, seed=0):
    """Return labels drawn from softmax(logits), and softmax(sharpness * logits): calibrated where that is 1."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (images, classes))
    true, shown = (np.exp(k * logits) / np.exp(k * logits).sum(1, keepdims=True) for k in (1, sharpness))
    return (rng.random((images, 1)) > true.cumsum(1)).sum(1).clip(0, classes - 1), shown


def ece(labels, probabilities, bins=MOST_BINS):
    return calibration_error(reliability(labels, probabilities, bins))


temperatures = st.floats(0.05, 20)
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # scikit-learn's, where a class is absent


# Bins


@given(predictions(), st.integers(1, MOST_BINS))
def test_bins_share_out_all_images_from_low_to_high(made, bins):
    labels, probabilities = made
    found = reliability(labels, probabilities, bins)
    assert 1 <= len(found) <= bins
    assert sum(b.share for b in found) == pytest.approx(1)
    for b in found:
        assert b.low <= b.confidence + 1e-12
        assert b.confidence <= b.high + 1e-12
    assert all(a.high < b.low for a, b in pairwise(found))
    assert sum(b.share * b.accuracy for b in found) == pytest.approx(score(labels, probabilities)["accuracy"])


@given(predictions(), st.integers(1, MOST_BINS), st.randoms())
def test_bins_do_not_depend_on_the_order_of_images(made, bins, random):
    labels, probabilities = made
    order = random.sample(range(len(labels)), len(labels))
    ours, theirs = (reliability(*part, bins) for part in (made, (labels[order], probabilities[order])))
    for a, b in zip(ours, theirs, strict=True):
        assert a.model_dump() == pytest.approx(b.model_dump())


def test_bins_have_as_many_images_each_where_confidences_differ():
    labels, probabilities = simulated(90, 3)
    assert [b.share for b in reliability(labels, probabilities, 9)] == pytest.approx([1 / 9] * 9)


def test_the_number_of_bins_grows_with_the_images_up_to_a_limit():
    assert [bin_count(n) for n in (0, 1, 8, 656, 1000, 10**6)] == [1, 1, 2, 9, 10, MOST_BINS]


def test_no_images_have_no_bins_and_no_error():
    none = np.empty(0, int), np.empty((0, 2))
    assert reliability(*none, 3) == []
    assert ece(*none) == expected_if_calibrated(none[1], 3) == 0
    assert temperature(*none) == 1


# The error


def test_the_error_is_the_mean_gap_by_hand():
    probabilities = np.array([[0.6, 0.4]] * 5 + [[0.1, 0.9]] * 5)
    labels = np.array([0, 0, 1, 1, 1] + [1, 1, 1, 1, 1])
    assert ece(labels, probabilities, 2) == pytest.approx((abs(0.6 - 0.4) + abs(0.9 - 1)) / 2)


@given(predictions(), st.integers(1, MOST_BINS))
def test_the_error_is_at_least_the_gap_of_the_whole_and_at_most_one(made, bins):
    labels, probabilities = made
    gap = abs(probabilities.max(1).mean() - score(labels, probabilities)["accuracy"])
    assert gap - 1e-12 <= ece(labels, probabilities, bins) <= 1


@pytest.mark.parametrize("classes", [2, 5])
def test_calibrated_predictions_have_a_small_error(classes):
    assert ece(*simulated(20_000, classes)) < 0.015
    assert ece(*simulated(20_000, classes, sharpness=3)) > 0.08


@pytest.mark.parametrize(("images", "classes"), [(100, 2), (650, 2), (650, 6)])
def test_what_chance_alone_shows_is_predicted(images, classes):
    bins = bin_count(images)
    made = [simulated(images, classes, seed=seed) for seed in range(300)]
    seen = np.mean([ece(*each, bins) for each in made])
    predicted = np.mean([expected_if_calibrated(each[1], bins) for each in made])
    assert predicted == pytest.approx(seen, rel=0.08)


# Temperature


@given(predictions(), temperatures)
def test_accuracy_never_changes_and_rows_stay_probabilities(made, t):
    probabilities = made[1]
    scaled = scale(probabilities, t)
    assert np.array_equal(scaled.argmax(1), probabilities.argmax(1))
    assert scaled.min() >= 0
    assert scaled.sum(1) == pytest.approx(1)


@given(predictions())
def test_a_temperature_of_one_changes_nothing(made):
    assert scale(made[1], 1.0) == pytest.approx(made[1], abs=1e-12)


@given(predictions(), temperatures, temperatures)
def test_one_temperature_after_another_is_their_product(made, a, b):
    soft = np.clip(made[1], 0.01, 1)
    soft = soft / soft.sum(1, keepdims=True)
    if 0.5 < a < 2 and 0.5 < b < 2:
        assert scale(scale(soft, a), b) == pytest.approx(scale(soft, a * b), abs=1e-9)


@given(predictions(), temperatures)
def test_no_temperature_gives_a_smaller_loss_where_one_was_found(made, other):
    labels, probabilities = made
    t = temperature(labels, probabilities)
    best = score(labels, scale(probabilities, t))["log_loss"]
    assert best <= score(labels, probabilities)["log_loss"] + 1e-9
    if (probabilities[np.arange(len(labels)), labels] < probabilities.max(1)).any():
        assert best <= score(labels, scale(probabilities, other))["log_loss"] + 1e-9


def test_where_all_is_right_no_temperature_is_best_and_none_is_applied():
    assert temperature(np.array([0, 1]), np.array([[0.9, 0.1], [0.4, 0.6]])) == 1


def test_predictions_worse_than_chance_are_made_as_unsure_as_allowed():
    assert temperature(np.array([1, 0, 0]), np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])) == 20


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("sharpness", [0.4, 1, 3, 8])
def test_the_temperature_of_predictions_made_too_sharp_is_found(classes, sharpness):
    labels, probabilities = simulated(20_000, classes, sharpness)
    assert temperature(labels, probabilities) == pytest.approx(sharpness, rel=0.05)


# The summary


def test_the_summary_mends_each_seed_with_its_own_temperature():
    made = [simulated(4000, 3, sharpness, seed) for seed, sharpness in enumerate((2.0, 0.5))]
    valid, test = ([part[k] for part in made] for k in (0, 1)), ([p[:2000] for p in half] for half in zip(*made))
    found = summarise(tuple(valid), tuple(test))
    assert found.temperature == pytest.approx([2, 0.5], rel=0.1)
    assert found.scaled.log_loss < found.raw.log_loss
    assert found.scaled.ece < 2 * found.scaled.ece_if_calibrated < found.raw.ece
    for part in (found.raw, found.scaled):
        assert len(part.bins) == bin_count(2000)


def test_errors_are_means_over_seeds_and_bins_pool_them():
    sure = np.array([[1.0, 0.0]] * 4)
    right, wrong = np.zeros(4, int), np.ones(4, int)
    found = summarise(([right], [sure]), ([right], [sure]))
    assert found.raw.ece == 0
    found = summarise(([right, right], [sure, sure]), ([right, wrong], [sure, sure]))
    assert found.raw.ece == pytest.approx(0.5)  # in each seed all the gap shows: 0 and 1
    assert found.raw.bins == (ReliabilityBin(low=1, high=1, share=1, confidence=1, accuracy=0.5),)
    assert found.raw.log_loss == pytest.approx(-np.log(np.finfo(float).eps) / 2)


def test_seeds_that_do_not_match_are_refused():
    one = ([np.array([0])], [np.array([[0.5, 0.5]])])
    with pytest.raises(ValueError, match=r"shorter|longer"):
        summarise((one[0] * 2, one[1] * 2), one)
