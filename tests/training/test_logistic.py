import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from pipeline.config.recipe import Recipe
from pipeline.inference.network import make_head
from pipeline.training.logistic import PENALTIES, fit_logistic
from pipeline.training.loop import DivergedError, predict
from pipeline.training.samples import Samples


class Rows:
    """Features of so many views: the first as they are, the others with noise."""

    def __init__(self, x, views=1):
        noise = np.random.default_rng(1).normal(size=(views, *x.shape)) * 0.1
        noise[0] = 0
        self.values, self.views = (x + noise).astype(np.float32), views

    def take(self, rows, views):
        return torch.from_numpy(self.values[views, rows])


def recipe(**wanted):
    return Recipe(
        backbone="compact", weights="random", cut="head", head="logistic", epochs=1, learning_rate=1, **wanted
    )


def blobs(classes=3, count=120, width=6, spread=1.5, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    return rng.normal(size=(count, width)) + spread * rng.normal(size=(classes, width))[labels], labels


def fitted(x, labels, views=1, scored=1, rows=None, weights=None, **wanted):
    head = make_head("logistic", x.shape[1], 1, labels.max() + 1, 0.3)
    inputs = Rows(x, views)
    cut = 3 * len(x) // 4
    rows = np.arange(cut) if rows is None else rows
    head[0].measure(inputs.take(rows, np.zeros(len(rows), np.int64)))
    found = fit_logistic(head, Samples(inputs, labels, rows, weights), np.arange(cut, len(x)), scored, recipe(**wanted))
    return head, found, inputs


@pytest.mark.parametrize("classes", [2, 3])
def test_it_is_the_optimum_that_scikit_learn_finds(classes):
    x, labels = blobs(classes)
    head, found, inputs = fitted(x, labels, l2=0.01)
    assert found.l2 == 0.01
    rows = np.arange(90)
    scaled = head[0](inputs.take(rows, np.zeros(90, np.int64))).numpy()
    theirs = LogisticRegression(C=1 / (0.01 * 90), max_iter=5000, tol=1e-8).fit(scaled, labels[:90])
    ours = predict(head, inputs, np.arange(120), torch.device("cpu"))
    everything = head[0](inputs.take(np.arange(120), np.zeros(120, np.int64))).numpy()
    np.testing.assert_allclose(ours, theirs.predict_proba(everything), atol=5e-3)


@pytest.mark.parametrize("views", [1, 3])
def test_the_penalty_is_the_one_with_the_lowest_validation_loss(views):
    x, labels = blobs(spread=0.5)
    _, best, inputs = fitted(x, labels, views, scored=views)
    losses = {}
    valid = np.arange(90, 120)
    for penalty in PENALTIES[::4]:
        head, _, _ = fitted(x, labels, views, l2=float(penalty))
        mean = predict(head, inputs, valid, torch.device("cpu"), views)
        losses[penalty] = -np.log(mean[np.arange(30), labels[valid]]).mean()
    head, _, _ = fitted(x, labels, views, scored=views)
    mean = predict(head, inputs, valid, torch.device("cpu"), views)
    assert -np.log(mean[np.arange(30), labels[valid]]).mean() <= min(losses.values()) + 2e-3
    assert best.l2 in PENALTIES
    assert best.images == 90 * views


def test_a_strong_penalty_leaves_the_shares_of_the_classes():
    x, labels = blobs(2)
    labels = (np.arange(120) % 4 == 0).astype(int)
    head, _, inputs = fitted(x, labels, l2=1e6)
    shares = np.bincount(labels[:90]) / 90
    np.testing.assert_allclose(predict(head, inputs, np.arange(5), torch.device("cpu")), [shares] * 5, atol=1e-3)


def test_weights_count_as_copies_of_images_do():
    x, labels = blobs(2)
    weights = np.where(np.arange(120) % 3 == 0, 2.0, 1.0)
    copies = np.sort(np.concatenate([np.arange(90), np.arange(0, 90, 3)]))
    weighed, _, inputs = fitted(x, labels, weights=weights, l2=0.05)
    copied, _, _ = fitted(x, labels, rows=copies, l2=0.05)
    copied[0].load_state_dict(weighed[0].state_dict())  # weights do not act on what is measured
    rows = np.arange(120)
    found = [predict(head, inputs, rows, torch.device("cpu")) for head in (weighed, copied)]
    np.testing.assert_allclose(found[0], found[1], atol=0.03)


def test_a_class_without_a_training_image_is_never_predicted():
    x, labels = blobs(3)
    rows = np.flatnonzero(labels[:90] != 1)
    head, _, inputs = fitted(x, labels, rows=rows)
    assert predict(head, inputs, np.arange(120), torch.device("cpu"))[:, 1].max() < 1e-3


def test_features_that_are_no_numbers_are_a_divergence():
    x, labels = blobs()
    x[3, 2] = np.nan
    with pytest.raises(DivergedError, match="not finite"):
        fitted(x, labels)


@settings(max_examples=10)
@given(st.integers(0, 5))
def test_the_same_images_give_the_same_head(seed):
    x, labels = blobs(seed=seed)
    one, two = fitted(x, labels), fitted(x, labels)
    assert one[1] == two[1]
    assert torch.equal(one[0][-1].weight, two[0][-1].weight)
