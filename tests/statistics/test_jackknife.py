import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.metric_names import METRICS
from pipeline.statistics.jackknife import Scored, influence_tables, influence_tables_of, recall_influence_tables
from pipeline.training.metrics import score

TIMES = 1000


@st.composite
def predicted(draw, fewest=1):
    """Labels of some or all classes, and probabilities with ties and zeros among them."""
    classes = draw(st.integers(2, 4))
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=fewest, max_size=9))
    rows = [draw(st.lists(st.integers(0, 4), min_size=classes, max_size=classes).filter(sum)) for _ in labels]
    return np.array(labels), np.array(rows) / np.sum(rows, axis=1, keepdims=True)


@pytest.mark.filterwarnings("ignore::UserWarning")
@given(predicted())
def test_a_table_holds_the_scores_of_each_seed(made):
    labels, probabilities = made
    found = influence_tables_of(labels, np.stack([probabilities, probabilities[:, ::-1]]))
    for seed, each in enumerate((probabilities, probabilities[:, ::-1])):
        scores = score(labels, each)
        expected = {metric: scores[metric] for metric in METRICS}
        assert {m: table.scores[seed] for m, table in found.items()} == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore::UserWarning")
@given(predicted(fewest=2), st.data())
def test_the_influence_of_an_image_is_what_one_more_of_it_changes(made, data):
    labels, probabilities = made
    image = data.draw(st.integers(0, len(labels) - 1))
    found = influence_tables_of(labels, probabilities[None])
    rows = np.repeat(np.arange(len(labels)), TIMES)
    before, after = (score(labels[r], probabilities[r]) for r in (rows, np.append(rows, image)))
    own = int((labels == labels[image]).sum())
    for metric in METRICS:
        counted = own if metric in ("balanced_accuracy", "roc_auc") else len(labels)
        shrunk = np.sqrt((counted - 1) / counted) if counted > 1 else 1.0
        if metric == "roc_auc" and len(set(labels)) == probabilities.shape[1] > 2:
            continue  # an image counts among the others, too, for each further class
        moved = (after[metric] - before[metric]) * TIMES
        assert found[metric].influence[0, image] * shrunk == pytest.approx(moved, rel=1e-2, abs=1e-3)


def test_the_influences_on_a_mean_give_the_variance_of_a_mean():
    rng = np.random.default_rng(0)
    labels, probabilities = np.arange(40) % 2, rng.dirichlet([1, 1], 40)
    right = probabilities.argmax(1) == labels
    found = influence_tables_of(labels, probabilities[None])["accuracy"]
    assert (found.influence**2).sum() == pytest.approx(right.var(ddof=1) / 40)


def test_the_influences_on_the_area_give_the_variance_of_delong():
    rng = np.random.default_rng(0)
    labels = np.array([0] * 30 + [1] * 20)
    second = rng.random(50) + 0.3 * labels
    wins = second[labels == 1][:, None] > second[labels == 0]
    wanted = wins.mean(1).var(ddof=1) / 20 + wins.mean(0).var(ddof=1) / 30
    found = influence_tables_of(labels, np.stack([1 - second, second], 1)[None])["roc_auc"]
    assert (found.influence**2).sum() == pytest.approx(wanted)


def test_where_a_class_is_missing_the_area_is_a_half_that_no_image_moves():
    found = influence_tables_of(np.zeros(3, dtype=int), np.full((1, 3, 2), 0.5))["roc_auc"]
    assert found.scores == [0.5]
    assert not found.influence.any()


def test_images_are_distinguished_by_id_where_seeds_have_their_own():
    labels, sure = np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]])
    apart = influence_tables(Scored([labels] * 2, [sure] * 2), shared=False)["accuracy"]
    named = influence_tables(Scored([labels] * 2, [sure] * 2, [np.array(["x", "y"]), np.array(["z", "x"])]))["accuracy"]
    together = influence_tables(Scored([labels] * 2, [sure] * 2))["accuracy"]
    assert [each.influence.shape for each in (apart, named, together)] == [(2, 4), (2, 3), (2, 2)]
    assert (named.influence != 0).tolist() == [[True, True, False], [True, False, True]]


def test_seeds_may_hold_out_validation_sets_of_different_sizes():
    labels = [np.arange(n) % 2 for n in (50, 60)]
    scored = Scored(labels, [np.random.default_rng(0).dirichlet([1, 1], len(each)) for each in labels])
    assert influence_tables(scored, shared=False)["roc_auc"].influence.shape == (2, 110)


def test_a_recall_rests_on_the_images_of_its_class():
    labels, guess = np.array([0, 0, 2, 2]), np.eye(3)[[0, 1, 2, 2]]
    first, none, last = recall_influence_tables(Scored([labels] * 2, [guess] * 2))
    assert none is None
    assert (first.scores.tolist(), first.images, last.scores.tolist()) == ([0.5, 0.5], 2, [1, 1])
    assert first.influence[0].tolist() == pytest.approx([2**0.5 / 4, -(2**0.5) / 4, 0, 0])
