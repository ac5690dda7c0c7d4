import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from pipeline.config.metric_names import LOWER_IS_BETTER, METRICS
from pipeline.training.metrics import score, score_many


@st.composite
def predictions(draw, fewest=2, most=4):
    """Labels of which every class is one, and probabilities with ties and zeros among them."""
    count = draw(st.integers(fewest, most))
    labels = [*range(count), *draw(st.lists(st.integers(0, count - 1), max_size=8))]
    rows = [draw(st.lists(st.integers(0, 4), min_size=count, max_size=count).filter(sum)) for _ in labels]
    return np.array(labels), np.array(rows) / np.sum(rows, axis=1, keepdims=True)


def chance_of_right_order(positive, scores):
    pairs = [(a > b) + (a == b) / 2 for a in scores[positive] for b in scores[~positive]]
    return sum(pairs) / len(pairs)


@given(predictions())
def test_scores_are_what_their_names_say(made):
    labels, probabilities = made
    right = probabilities.argmax(1) == labels
    got = score(labels, probabilities)
    assert tuple(got) == (*METRICS, "balanced_log_loss")
    assert got["accuracy"] == pytest.approx(right.mean())
    assert got["balanced_accuracy"] == pytest.approx(np.mean([right[labels == c].mean() for c in np.unique(labels)]))
    floor = np.finfo(float).eps
    losses = [-math.log(max(p, floor)) for p in probabilities[np.arange(len(labels)), labels]]
    assert got["log_loss"] == pytest.approx(np.mean(losses))
    by_class = [np.mean(np.array(losses)[labels == c]) for c in np.unique(labels)]
    assert got["balanced_log_loss"] == pytest.approx(np.mean(by_class))
    areas = [chance_of_right_order(labels == c, probabilities[:, c]) for c in range(probabilities.shape[1])]
    assert got["roc_auc"] == pytest.approx(np.mean(areas))


@given(predictions(most=2))
def test_the_area_of_two_classes_is_the_usual_one(made):
    labels, probabilities = made
    assert score(labels, probabilities)["roc_auc"] == pytest.approx(roc_auc_score(labels, probabilities[:, 1]))


@given(predictions(), st.randoms())
def test_scores_do_not_depend_on_the_order_of_images(made, random):
    labels, probabilities = made
    order = random.sample(range(len(labels)), len(labels))
    assert score(labels[order], probabilities[order]) == pytest.approx(score(labels, probabilities))


def test_where_a_class_is_absent_the_area_is_that_of_a_guess():
    assert score(np.array([0, 0, 1]), np.eye(3)[[0, 0, 1]])["roc_auc"] == 0.5


def test_single_precision_that_sums_to_almost_one_is_scored_without_complaint(recwarn):
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(5), 50).astype(np.float32)
    assert score(rng.integers(0, 5, 50), probabilities)["log_loss"] > 0
    assert not recwarn.list


def test_only_the_loss_is_better_when_lower():
    sure, unsure = np.array([[0.9, 0.1], [0.1, 0.9]]), np.array([[0.1, 0.9], [0.6, 0.4]])
    good, bad = score(np.array([0, 1]), sure), score(np.array([0, 1]), unsure)
    assert {name for name in METRICS if good[name] < bad[name]} == LOWER_IS_BETTER


@given(predictions(), st.integers(0, 2**32 - 1))
def test_many_predictions_at_once_score_as_one_by_one(case, seed):
    labels, probabilities = case
    rng = np.random.default_rng(seed)
    many = np.stack(
        [probabilities, rng.permutation(probabilities), rng.dirichlet(np.ones(probabilities.shape[1]), len(labels))]
    )
    for ours, each in zip(score_many(labels, many), many, strict=True):
        assert ours == pytest.approx(score(labels, each), abs=1e-12)
    missing = labels != 0
    for ours, each in zip(score_many(labels[missing], many[:, missing]), many[:, missing], strict=True):
        assert ours == pytest.approx(score(labels[missing], each), abs=1e-12)


def test_no_predictions_give_no_scores():
    assert score_many(np.array([0, 1]), np.empty((0, 2, 2))) == []
