import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.comparison import (
    Entry,
    Scored,
    bootstrap,
    chance,
    choose,
    compare,
    confusion,
    gain_over_majority,
    interval,
    recommend,
    weighted_scores,
)
from pipeline.metrics import LOWER_IS_BETTER, METRICS, score

LABELS = np.arange(200) % 2


def predict(labels, skill, rng, classes=2):
    """Return probabilities that lean to the right class, the more so the more skill."""
    logits = rng.normal(size=(len(labels), classes))
    logits[np.arange(len(labels)), labels] += skill
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def entry(skill, flops=10**6, seed=0, labels=LABELS, seeds=3):
    rng = np.random.default_rng(seed)
    classes = int(labels.max()) + 1
    valid, test = (Scored([labels] * seeds, [predict(labels, skill, rng, classes) for _ in range(seeds)]) for _ in "vt")
    scores = [[score(*pair) for pair in zip(part.labels, part.probabilities)] for part in (valid, test)]
    return Entry({"backbone": "compact"}, valid, test, *scores, {"train_flops": flops})


def compared(entries, metric="accuracy", resamples=400, confidence=0.95):
    return compare(entries, metric, resamples, confidence, seed=0)


@st.composite
def weighted(draw):
    """Labels, probabilities with ties and zeros among them, and how often each image is drawn."""
    classes = draw(st.integers(2, 4))
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=1, max_size=9))
    rows = [draw(st.lists(st.integers(0, 4), min_size=classes, max_size=classes).filter(sum)) for _ in labels]
    times = draw(st.lists(st.integers(0, 3), min_size=len(labels), max_size=len(labels)).filter(sum))
    return np.array(labels), np.array(rows) / np.sum(rows, axis=1, keepdims=True), np.array(times)


@pytest.mark.filterwarnings("ignore::UserWarning")
@given(weighted())
def test_weights_stand_for_images_so_repeated(made):
    labels, probabilities, times = made
    got = {name: values[0] for name, values in weighted_scores(labels, probabilities, times[None]).items()}
    assert got == pytest.approx(score(labels.repeat(times), probabilities.repeat(times, axis=0)))


def test_the_order_of_entries_does_not_matter():
    entries = {"a": entry(1.0, seed=1), "b": entry(0.5, seed=2), "c": entry(0.2, seed=3)}
    assert compared(entries) == compared(dict(reversed(entries.items())))


def test_the_same_data_and_seed_give_the_same_comparison_and_another_seed_other_draws():
    entries = {"a": entry(1.0, seed=1), "b": entry(0.8, seed=2)}
    assert compared(entries) == compared(entries)
    assert compared(entries)["pairs"] != compare(entries, "accuracy", 400, 0.95, seed=1)["pairs"]


def test_the_chances_of_two_strategies_to_beat_each_other_sum_to_one():
    one, other = entry(0.6, seed=1), entry(0.5, seed=2)
    there, back = (compared({"a": x, "b": y})["pairs"][0] for x, y in ((one, other), (other, one)))
    for metric in METRICS:
        assert there[metric]["p_a_beats_b"] + back[metric]["p_a_beats_b"] == pytest.approx(1)
        assert there[metric]["difference"] == pytest.approx(-back[metric]["difference"])
        assert there[metric]["ci95"] == pytest.approx([-end for end in reversed(back[metric]["ci95"])])


def test_strategies_that_predict_the_same_are_even_and_the_cheaper_is_recommended():
    result = compared({"a": entry(1.0, flops=50), "b": entry(1.0, flops=20), "c": entry(1.0, flops=30)})
    for pair in result["pairs"]:
        assert all((pair[m]["p_a_beats_b"], pair[m]["ci95"]) == (0.5, [0, 0]) for m in METRICS)
    assert (result["winner"], result["recommended"]) == ("a", "b")
    assert re.search(r"cannot be told from b.* Use\b.*\bb: the cheapest to train", result["verdict"])


@pytest.mark.parametrize("metric", METRICS)
def test_a_clear_winner_is_recommended_whatever_it_costs(metric):
    result = compared({"better": entry(3.0, flops=10**9, seed=1), "guess": entry(0.0, seed=2)}, metric)
    assert (result["winner"], result["recommended"]) == ("better", "better")
    assert chance(result["pairs"], "better", "guess", metric) == 1
    assert chance(result["pairs"], "guess", "better", metric) == 0
    assert "beats guess (P = 1.00)" in result["verdict"]
    assert "1000.0 times the training FLOPs of guess" in result["verdict"]


def test_the_winner_is_chosen_on_validation_alone():
    good, bad = entry(2.0, seed=1), entry(0.2, seed=2)
    a = Entry(good.recipe, bad.valid, good.test, bad.valid_scores, good.test_scores, good.cost)
    b = Entry(bad.recipe, good.valid, bad.test, good.valid_scores, bad.test_scores, bad.cost)
    result = compared({"a": a, "b": b})
    assert result["winner"] == "b"
    assert "b is best on validation" in result["verdict"]


def test_a_winner_that_is_beaten_on_test_is_not_said_to_be_even():
    good, bad = entry(2.0, seed=1), entry(0.2, seed=2)
    lucky = Entry(bad.recipe, good.valid, bad.test, good.valid_scores, bad.test_scores, bad.cost)
    unlucky = Entry(good.recipe, bad.valid, good.test, bad.valid_scores, good.test_scores, good.cost)
    assert "cannot be told from" not in compared({"lucky": lucky, "unlucky": unlucky})["verdict"]


def test_one_strategy_alone_is_summed_up_without_pairs():
    result = compared({"only": entry(1.0)})
    assert (result["winner"], result["recommended"], result["pairs"]) == ("only", "only", [])
    assert result["verdict"].endswith("There is nothing to compare it with.")


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_intervals_hold_the_mean_and_are_in_order(classes):
    result = compared({"a": entry(1.0, labels=np.arange(210) % classes)})
    for split in ("valid", "test"):
        for metric in METRICS:
            low, high = result["strategies"]["a"][split][metric]["ci95"]
            assert low < result["strategies"]["a"][split][metric]["mean"] < high


def test_the_interval_of_one_seeds_accuracy_is_as_wide_as_the_binomial_says():
    labels = np.zeros(400, dtype=int)
    right = np.arange(400) < 320
    draws = bootstrap(Scored([labels], [np.stack([right, ~right], 1).astype(float)]), 4000, 0, same_images=True)
    low, high = interval(draws["accuracy"])
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.8 * 0.2 / 400), rel=0.1)


def test_differences_are_paired_so_shared_mistakes_cancel():
    a = entry(1.0)
    almost = [p.copy() for p in a.test.probabilities]
    for p in almost:
        p[:4] = p[:4, ::-1]
    scores = [score(*pair) for pair in zip(a.test.labels, almost)]
    b = Entry(a.recipe, a.valid, Scored(a.test.labels, almost), a.valid_scores, scores, a.cost)
    result = compared({"a": a, "b": b})
    low, high = result["pairs"][0]["accuracy"]["ci95"]
    alone = np.ptp(result["strategies"]["a"]["test"]["accuracy"]["ci95"])
    assert high - low < alone / 2


def test_seeds_may_hold_out_validation_sets_of_different_sizes():
    rng = np.random.default_rng(0)
    labels = [LABELS[:50], LABELS[:60]]
    drawn = bootstrap(Scored(labels, [predict(part, 1.0, rng) for part in labels]), 100, 0, same_images=False)
    assert all(values.shape == (100,) and np.isfinite(values).all() for values in drawn.values())


def test_images_that_all_seeds_share_are_drawn_once_for_all_of_them():
    scored = Scored([LABELS] * 4, [predict(LABELS, 1.0, np.random.default_rng(0))] * 4)
    shared, apart = (bootstrap(scored, 1000, 0, same_images=same)["accuracy"].std() for same in (True, False))
    assert shared > 1.4 * apart


def test_seeds_that_disagree_widen_the_interval():
    good, bad = (np.eye(2)[labels] for labels in (LABELS, 1 - LABELS))
    one, two = (Scored([LABELS] * 2, [good, other]) for other in (good, bad))
    assert np.ptp(bootstrap(one, 200, 0, same_images=True)["accuracy"]) == 0
    assert interval(bootstrap(two, 200, 0, same_images=True)["accuracy"]) == [0, 1]


def test_confusion_counts_true_classes_by_row_over_all_seeds():
    guess = np.eye(3)[[0, 1, 1, 2]]
    assert confusion(Scored([np.array([0, 0, 1, 2])] * 2, [guess] * 2)) == [[2, 2, 0], [0, 2, 0], [0, 0, 2]]


@pytest.mark.parametrize("metric", METRICS)
def test_the_best_mean_is_chosen_and_the_first_by_name_of_equals(metric):
    best = min if metric in LOWER_IS_BETTER else max
    means = {"c": 0.2, "b": 0.7, "a": 0.2, "d": 0.7}
    assert choose(means, metric) == {min: "a", max: "b"}[best]


@given(st.floats(0, 1), st.floats(0.5, 0.99))
def test_the_cheapest_that_is_not_beaten_is_recommended(p, confidence):
    pairs = [{"a": "cheap", "b": "dear", "accuracy": {"p_a_beats_b": 1 - p}}]
    wanted = "dear" if chance(pairs, "dear", "cheap", "accuracy") >= confidence else "cheap"
    assert recommend("dear", pairs, {"cheap": 1, "dear": 2}, "accuracy", confidence) == wanted


def test_the_gain_is_measured_against_always_naming_the_commonest_class():
    parts = {
        "dataset": {"counts": {"valid": {"x": 30, "y": 10}}},
        "strategies": {"a": {"valid": {"accuracy": {"mean": 0.9}}}},
    }
    assert gain_over_majority(parts, "a") == pytest.approx(0.15)
