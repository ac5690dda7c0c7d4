import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal, ortho_group
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import Ridge

from pipeline.training.run_context import make_run_context
from pipeline.training.transferability import (
    PENALTIES,
    h_score,
    log_me,
    measure,
    ridge_accuracy,
    separation,
    spectrum,
    thumbnails,
)
from tests.support.units import FEATURES, RUNTIME, recipe

SCORES = ("h_score", "h_score_if_random", "log_me", "ridge_accuracy")


@st.composite
def classified(draw, classes=3):
    """Features (N, D), wide or tall, whose classes lie somewhat apart, and labels."""
    count, width, seed = draw(st.integers(8, 40)), draw(st.integers(1, 40)), draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    labels = np.array([*range(classes), *rng.integers(0, classes, count - classes)])
    return rng.normal(size=(count, width)) * np.exp(rng.normal(size=width)) + rng.normal(size=(classes, width))[
        labels
    ], labels


def apart(distance, count=200, width=20, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    return rng.normal(size=(count, width)) + distance * np.eye(classes, width)[labels], labels


def scores(features, labels):
    found = measure(features, labels, features[:, :1])
    return {name: found[name] for name in SCORES}


def close(found, **options):
    return pytest.approx(found, rel=1e-5, abs=1e-6, **options)


# Laws


@settings(max_examples=15)
@given(classified(), st.randoms())
def test_the_order_of_images_does_not_matter(made, random):
    features, labels = made
    order = random.sample(range(len(labels)), len(labels))
    assert scores(features[order], labels[order]) == close(scores(features, labels))


@settings(max_examples=15)
@given(classified(), st.integers(0, 2**32 - 1))
def test_the_axes_of_features_may_be_rotated(made, seed):
    features, labels = made
    if features.shape[1] > 1:
        turn = ortho_group.rvs(features.shape[1], random_state=np.random.default_rng(seed))
        assert scores(features @ turn, labels) == close(scores(features, labels))


@settings(max_examples=15)
@given(classified(), st.sampled_from([1e-3, 7.0, 1e4]))
def test_the_unit_of_features_does_not_matter(made, unit):
    assert scores(made[0] * unit, made[1]) == close(scores(*made))


@given(classified(), st.permutations(range(3)))
def test_the_names_of_classes_do_not_matter(made, names):
    features, labels = made
    renamed = np.array(names)[labels]
    assert scores(features, renamed) == close(scores(features, labels))


@settings(max_examples=15)
@given(classified())
def test_features_that_say_nothing_more_leave_h_score_as_evidence_as_they_are(made):
    features, labels = made
    padded = np.hstack([features, np.zeros((len(features), 2))])
    assert scores(padded, labels)["log_me"] == close(scores(features, labels)["log_me"])
    assert scores(padded, labels)["ridge_accuracy"] == scores(features, labels)["ridge_accuracy"]


@given(classified())
def test_scores_are_finite_and_within_their_bounds(made):
    found = scores(*made)
    assert -1e-9 <= found["h_score"] <= len(np.unique(made[1])) - 1 + 1e-9
    assert np.isfinite(found["log_me"])
    assert 0 <= found["ridge_accuracy"] <= 1


def test_classes_farther_apart_score_higher():
    near, middle, far = (scores(*apart(distance)) for distance in (0, 2, 6))
    for name in ("h_score", "log_me", "ridge_accuracy"):
        assert near[name] < middle[name] < far[name]
    assert far["ridge_accuracy"] > 0.99
    assert far["h_score"] > 1.7  # of at most 2


@pytest.mark.parametrize("width", [5, 60, 500])
@pytest.mark.parametrize("classes", [2, 4])
def test_labels_at_random_are_guessed_as_chance_would(width, classes):
    rng = np.random.default_rng(width)
    made = [(rng.normal(size=(200, width)), rng.permutation(np.arange(200) % classes)) for _ in range(20)]
    accuracy = np.mean([scores(*each)["ridge_accuracy"] for each in made])
    assert abs(accuracy - 1 / classes) < 0.04  # over 4,000 guesses


def test_features_and_pixels_are_measured_apart():
    (good, labels), (bad, _) = apart(4), apart(0, seed=1)
    found = measure(good, labels, bad)
    assert set(found) == {*SCORES, *(f"pixels_{name}" for name in SCORES), "majority"}
    assert all(found[name] > found[f"pixels_{name}"] for name in ("h_score", "log_me", "ridge_accuracy"))
    assert all(type(value) is float for value in found.values())
    assert found["majority"] == pytest.approx(67 / 200)


# Corners


def test_constant_features_say_what_the_commonest_class_says():
    labels = np.array([0, 0, 0, 1, 1])
    found = scores(np.full((5, 7), 3.25, np.float32), labels)
    assert found["h_score"] == 0
    assert found["ridge_accuracy"] == 0.6
    assert found["log_me"] == pytest.approx(scores(np.ones((5, 1)), labels)["log_me"])
    assert np.isfinite(list(scores(np.zeros((5, 7)), labels).values())).all()


def test_a_class_without_images_changes_nothing():
    features, labels = apart(2)
    gap = np.array([0, 2, 5])[labels]
    assert scores(features, gap) == close(scores(features, labels))


def test_one_class_alone_and_one_image_alone_are_scored():
    assert scores(np.eye(3), np.zeros(3, int))["ridge_accuracy"] == 1
    assert np.isfinite(list(scores(np.ones((1, 4)), np.zeros(1, int)).values())).all()


# Against what others compute, the slow way


@pytest.mark.parametrize("width", [7, 90])
def test_h_score_is_its_definition_with_ledoit_and_wolfs_covariance(width):
    features, labels = apart(1.5, count=60, width=width)
    centred = features - features.mean(0)
    estimate = LedoitWolf().fit(features)
    means = np.stack([centred[labels == c].mean(0) for c in range(3)])[labels]
    between = (1 - estimate.shrinkage_) * np.cov(means, rowvar=False, bias=True)
    wanted = np.trace(np.linalg.solve(estimate.covariance_, between))
    assert h_score(centred, labels, spectrum(centred))[0] == pytest.approx(wanted)


@pytest.mark.parametrize("width", [3, 150])
def test_the_h_score_of_labels_at_random_is_predicted(width):
    features, labels = apart(3, count=100, width=width)
    rng = np.random.default_rng(0)
    seen = np.mean([scores(features, rng.permutation(labels))["h_score"] for _ in range(200)])
    assert scores(features, labels)["h_score_if_random"] == pytest.approx(seen, rel=0.05)


def published(features, labels):
    """Return LogME by the fixed point of You et al. 2021, in D x D matrices."""
    count, width = features.shape
    found = []
    for c in range(3):
        y, a, b = (labels == c).astype(float), 1.0, 1.0
        for _ in range(2000):
            precision = a * np.eye(width) + b * features.T @ features
            weights = b * np.linalg.solve(precision, features.T @ y)
            gamma = width - a * np.trace(np.linalg.inv(precision))
            a, b = gamma / (weights @ weights), (count - gamma) / ((features @ weights - y) ** 2).sum()
        normal = multivariate_normal(np.zeros(count), features @ features.T / a + np.eye(count) / b)
        found.append(normal.logpdf(y) / count)
    return np.mean(found)


@pytest.mark.parametrize("width", [4, 25])
def test_log_me_is_the_log_density_at_the_published_fixed_point(width):
    features, labels = apart(2, count=50, width=width)
    assert log_me(labels, spectrum(features)) == pytest.approx(published(features, labels), abs=1e-6)


@pytest.mark.parametrize("width", [6, 80])
def test_log_me_is_no_less_than_the_density_at_any_precisions(width):
    features, labels = apart(2, count=40, width=width)
    found = log_me(labels, spectrum(features))
    for a in np.logspace(-3, 3, 7):
        for b in np.logspace(-1, 3, 7):
            normal = multivariate_normal(np.zeros(40), features @ features.T / a + np.eye(40) / b)
            assert np.mean([normal.logpdf(labels == c) / 40 for c in range(3)]) <= found + 1e-9


@pytest.mark.parametrize("width", [5, 70])
def test_leaving_one_out_is_done_as_if_each_had_been_left_out(width):
    features, labels = apart(2, count=45, width=width)
    targets, spread = np.eye(3)[labels], spectrum(features - features.mean(0))
    results = []
    for penalty in PENALTIES * spread.values.mean():
        guesses, informed = np.empty_like(targets), np.empty_like(targets)
        for i in range(45):
            others = np.arange(45) != i
            guesses[i] = Ridge(penalty, solver="svd").fit(features[others], targets[others]).predict(features[[i]])[0]
            informed[i] = guesses[i] - targets[others].mean(0) + targets.mean(0)
        results.append((((guesses - targets) ** 2).sum(), (informed.argmax(1) == labels).mean()))
    assert ridge_accuracy(labels, spread) == pytest.approx(min(results)[1])


# Thumbnails


def test_thumbnails_are_block_means():
    images = np.arange(2 * 4 * 6 * 3, dtype=np.uint8).reshape(2, 4, 6, 3)
    wanted = images.reshape(2, 2, 2, 2, 3, 3).mean((2, 4)).reshape(2, -1)
    assert thumbnails(images, 2) == pytest.approx(wanted)
    assert thumbnails(images, 2).dtype == np.float32


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
def test_thumbnails_of_one_grey_are_that_grey_whatever_their_size(height, width, side):
    small = thumbnails(np.full((2, height, width, 1), 200, np.uint8), side)
    assert small.shape == (2, min(side, height) * min(side, width))
    assert small == pytest.approx(200)


def test_thumbnails_of_many_images_are_those_of_each():
    images = np.random.default_rng(0).integers(0, 256, (300, 5, 5, 3), dtype=np.uint8)
    assert np.array_equal(thumbnails(images, 2), np.concatenate([thumbnails(image[None], 2) for image in images]))


def test_the_features_of_pretrained_weights_are_held_against_pixels(image_set, tmp_path):
    context = make_run_context(image_set, 0.2, FEATURES, tmp_path, RUNTIME)
    assert separation(recipe(), context, 1) is None
    known = separation(recipe(backbone="efficientnet_lite0", weights="pretrained"), context, 1)
    assert {"h_score", "log_me", "ridge_accuracy", "pixels_ridge_accuracy", "majority"} <= set(known)
    assert known["majority"] == pytest.approx(np.bincount(image_set.labels).max() / len(image_set))
