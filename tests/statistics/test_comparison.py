import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.metric_names import LOWER_IS_BETTER, METRICS
from pipeline.statistics import intervals
from pipeline.statistics.comparison import Entry, choose, compare, confusion, curve_draws
from pipeline.statistics.jackknife import Scored, Table
from pipeline.training.metrics import score
from pipeline.verdict.advice import conclude
from pipeline.verdict.pairwise import lead

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


def curved(skill, seed):
    whole = entry(skill, seed=seed)
    less = {fraction: entry(skill * fraction, seed=seed + 10).tested for fraction in (0.5, 0.25)}
    return replace(whole, curve=less, sizes={0.25: 50, 0.5: 100, 1.0: 200}, flops={0.5: 6, 0.25: 3})


def compared(entries, metric="accuracy", resamples=400, confidence=0.95):
    found = compare(entries, metric, resamples, confidence, seed=0)
    return found | conclude(found)


def reordered(scored, seeds, images):
    """The same predictions, with the seeds and the images of each in another order."""
    return Scored([scored.labels[s][images] for s in seeds], [scored.probabilities[s][images] for s in seeds])


def changed(one, seeds, images):
    parts = reordered(one.valid, seeds, images), reordered(one.test, seeds, images)
    scores = [[each[s] for s in seeds] for each in (one.valid_scores, one.test_scores)]
    curve = {fraction: {m: Table(t.scores[seeds], t.influence[np.ix_(seeds, images)], t.images)
                        for m, t in tables.items()} for fraction, tables in one.curve.items()}  # fmt: skip
    return replace(one, valid=parts[0], test=parts[1], valid_scores=scores[0], test_scores=scores[1], curve=curve)


def numbers(tree, path=()):
    """Every leaf of a tree with its path, but for what is said seed by seed, or drawn."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    if not isinstance(tree, dict | list):
        yield path, tree
    for key, value in items:
        if key not in ("per_seed", "p_run_beats"):
            yield from numbers(value, (*path, key))


@settings(max_examples=6)
@given(st.randoms(use_true_random=False))
def test_the_order_of_strategies_seeds_and_images_does_not_matter(random):
    entries = {"a": curved(1.0, seed=1), "b": curved(0.9, seed=2), "c": curved(0.2, seed=3)}
    names, seeds, images = (random.sample(list(each), len(each)) for each in (entries, range(3), range(len(LABELS))))
    assert compared(entries, resamples=10) == compared({name: entries[name] for name in names}, resamples=10)
    there = dict(numbers(compared(entries, resamples=10)))
    back = dict(
        numbers(compared({name: changed(entries[name], seeds, np.array(images)) for name in names}, resamples=10))
    )
    assert there.keys() == back.keys()
    for path, value in there.items():
        assert back[path] == (pytest.approx(value, abs=1e-9) if isinstance(value, float) else value), path


def test_what_is_drawn_hardly_depends_on_the_order_of_images_or_on_the_seed():
    entries = {"a": entry(1.0, seed=1), "b": entry(0.8, seed=2)}
    turned = {name: changed(each, [2, 1, 0], np.arange(len(LABELS))[::-1]) for name, each in entries.items()}
    found = [compare(each, "accuracy", 2000, 0.95, seed)["pairs"][0] for each, seed in
             ((entries, 0), (turned, 0), (entries, 1))]  # fmt: skip
    for metric in METRICS:
        drawn = [pair[metric].pop("p_run_beats") for pair in found]
        assert np.ptp(drawn) < 0.05
    assert found[0] == found[2]


def test_strategies_are_the_same_to_the_bit_from_run_to_run():
    entries = {"a": curved(1.0, seed=1), "b": curved(0.8, seed=2)}
    assert compared(entries) == compared(entries)


def test_the_chances_of_two_strategies_to_beat_each_other_sum_to_one():
    one, other = entry(0.6, seed=1), entry(0.5, seed=2)
    there, back = (compared({"a": x, "b": y})["pairs"][0] for x, y in ((one, other), (other, one)))
    for metric in METRICS:
        assert there[metric]["p_a_beats_b"] + back[metric]["p_a_beats_b"] == pytest.approx(1)
        assert there[metric]["p_run_beats"] + back[metric]["p_run_beats"] == pytest.approx(1)
        assert there[metric]["p_value"] == pytest.approx(back[metric]["p_value"])
        assert there[metric]["difference"] == pytest.approx(-back[metric]["difference"])
        assert there[metric]["ci95"] == pytest.approx([-end for end in reversed(back[metric]["ci95"])])


def test_strategies_that_predict_the_same_are_even_and_the_cheaper_is_recommended():
    result = compared({"a": entry(1.0, flops=50), "b": entry(1.0, flops=20), "c": entry(1.0, flops=30)})
    for pair in result["pairs"]:
        assert all((pair[m]["p_a_beats_b"], pair[m]["ci95"]) == (0.5, [0, 0]) for m in METRICS)
        assert all((pair[m]["p_value"], pair[m]["p_adjusted"], pair[m]["p_run_beats"]) == (1, 1, 0.5) for m in METRICS)
        assert pair["better"] is None
    assert (result["winner"], result["recommended"], result["told"]) == ("a", "b", False)
    assert re.search(r"cannot be told from b.* Use b, the cheapest to train", result["verdict"])


@pytest.mark.parametrize("metric", METRICS)
def test_a_clear_winner_is_recommended_whatever_it_costs(metric):
    result = compared({"better": entry(3.0, flops=10**9, seed=1), "guess": entry(0.0, seed=2)}, metric)
    assert (result["winner"], result["recommended"], result["told"]) == ("better", "better", True)
    assert lead(result, "better", "guess").chance == pytest.approx(1, abs=1e-3)
    assert lead(result, "guess", "better").chance == pytest.approx(0, abs=1e-3)
    assert result["pairs"][0]["better"] == "better"
    assert result["pairs"][0][metric]["p_run_beats"] > 0.9
    assert "beats guess (P > 0.99)" in result["verdict"]
    assert "1,000 times that of guess" in result["verdict"]


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


def test_p_values_are_corrected_for_the_number_of_pairs_in_each_metric_by_itself():
    result = compared(
        {name: entry(skill, seed=i) for i, (name, skill) in enumerate([("a", 1), ("b", 0.8), ("c", 0.6)])}
    )
    for metric in METRICS:
        plain, adjusted = ([pair[metric][key] for pair in result["pairs"]] for key in ("p_value", "p_adjusted"))
        assert adjusted == intervals.holm(plain)
        assert min(adjusted) == pytest.approx(3 * min(plain))


def test_classes_have_their_images_recall_precision_and_f1():
    labels, guess = np.array([0, 0, 1, 2]), np.eye(4)[[0, 1, 1, 2]]
    scored = Scored([labels] * 2, [guess] * 2)
    scores = [dict.fromkeys(METRICS, 0.5)] * 2
    one = Entry({}, scored, scored, scores, scores, {"train_flops": 1})
    found = compare({"one": one}, "accuracy", 10, 0.95, 0, ["w", "x", "y", "z"])["strategies"]["one"]["classes"]
    assert [
        (name, row["images"], row["recall"]["mean"], row["precision"], row["f1"]) for name, row in found.items()
    ] == [
        ("w", 2, 0.5, 1.0, pytest.approx(2 / 3)),
        ("x", 1, 1.0, 0.5, pytest.approx(2 / 3)),
        ("y", 1, 1.0, 1.0, 1.0),
        ("z", 0, None, 0.0, 0.0),
    ]
    assert found["w"]["recall"]["ci95"][0] < 0.5 < found["w"]["recall"]["ci95"][1]
    assert found["z"]["recall"]["ci95"] is None


def test_the_curve_has_a_row_for_each_fraction_and_ends_with_all_the_data():
    result = compared({"a": curved(2.0, seed=1)})
    rows = result["strategies"]["a"]["curve"]
    assert [(row["fraction"], row["images"], row["train_flops"]) for row in rows] == [
        (0.25, 50, 3),
        (0.5, 100, 6),
        (1.0, 200, 10**6),
    ]
    assert result["fractions"] == [0.25, 0.5, 1.0]
    assert {m: rows[-1][m] for m in METRICS} == result["strategies"]["a"]["test"]
    assert rows[0]["accuracy"]["mean"] < rows[-1]["accuracy"]["mean"]


def test_draws_of_curves_are_paired_over_fractions_and_strategies():
    one, other = curved(1.0, seed=1), curved(0.8, seed=2)
    found = curve_draws({"b": one, "a": other, "same": one}, "accuracy", 300, 0)
    assert [(name, list(rows)) for name, rows in found.items()] == [(n, [0.25, 0.5, 1.0]) for n in ("a", "b", "same")]
    assert all((found["b"][f] == found["same"][f]).all() for f in found["b"])
    score = compared({"one": one})["strategies"]["one"]["test"]["accuracy"]
    assert found["b"][1.0].mean() == pytest.approx(score["mean"], abs=0.01)
    assert np.quantile(found["b"][1.0], [0.025, 0.975]) == pytest.approx(score["ci95"], abs=0.03)


def test_confusion_counts_true_classes_by_row_over_all_seeds():
    guess = np.eye(3)[[0, 1, 1, 2]]
    assert confusion(Scored([np.array([0, 0, 1, 2])] * 2, [guess] * 2)) == [[2, 2, 0], [0, 2, 0], [0, 0, 2]]


@pytest.mark.parametrize("metric", METRICS)
def test_the_best_mean_is_chosen_and_the_first_by_name_of_equals(metric):
    best = min if metric in LOWER_IS_BETTER else max
    means = {"c": 0.2, "b": 0.7, "a": 0.2, "d": 0.7}
    assert choose(means, metric) == {min: "a", max: "b"}[best]
