from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.metric_names import LOWER_IS_BETTER, METRICS
from pipeline.statistics import intervals
from pipeline.statistics.jackknife import InfluenceTable, Scored
from pipeline.statistics.scores_and_differences import (
    StrategyPredictions,
    choose,
    class_scores,
    compare_pairs,
    confusion,
    curve_draws,
)
from pipeline.training.metrics import score
from tests.support.trained import Trained, compared

LABELS = np.arange(200) % 2


def predict(labels, skill, rng, classes=2):
    """Return probabilities that lean to the right class, the more so the more skill."""
    logits = rng.normal(size=(len(labels), classes))
    logits[np.arange(len(labels)), labels] += skill
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def predicted(skill, seed=0, labels=LABELS, seeds=3):
    rng = np.random.default_rng(seed)
    classes = int(labels.max()) + 1
    valid, test = (Scored([labels] * seeds, [predict(labels, skill, rng, classes) for _ in range(seeds)]) for _ in "vt")
    scores = [[score(*pair) for pair in zip(part.labels, part.probabilities)] for part in (valid, test)]
    return StrategyPredictions(valid, test, *scores)


def trained(skill, flops=10**6, **kwargs):
    return Trained(predicted(skill, **kwargs), flops)


def curved(skill, seed):
    less = {fraction: predicted(skill * fraction, seed=seed + 10).tested for fraction in (0.5, 0.25)}
    whole = replace(predicted(skill, seed=seed), curve=less)
    return Trained(whole, images={0.25: 50, 0.5: 100, 1.0: 200}, flops={0.5: 6, 0.25: 3})


def reordered(scored, seeds, images):
    """The same predictions, with the seeds and the images of each in another order."""
    return Scored([scored.labels[s][images] for s in seeds], [scored.probabilities[s][images] for s in seeds])


def changed(whole, seeds, images):
    one = whole.predictions
    parts = reordered(one.valid, seeds, images), reordered(one.test, seeds, images)
    scores = [[each[s] for s in seeds] for each in (one.valid_scores, one.test_scores)]
    curve = {fraction: {m: InfluenceTable(t.scores[seeds], t.influence[np.ix_(seeds, images)], t.images)
                        for m, t in tables.items()} for fraction, tables in one.curve.items()}  # fmt: skip
    return replace(whole, predictions=StrategyPredictions(*parts, *scores, curve))


def numbers(tree, path=()):
    """Every leaf of a tree with its path, but for what is said seed by seed, or drawn."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, tuple) else ()
    if not isinstance(tree, dict | tuple):
        yield path, tree
    for key, value in items:
        if key not in ("per_seed", "p_run_beats"):
            yield from numbers(value, (*path, key))


@settings(max_examples=6)
@given(st.randoms(use_true_random=False))
def test_the_order_of_strategies_seeds_and_images_does_not_matter(random):
    strategies = {"a": curved(1.0, seed=1), "b": curved(0.9, seed=2), "c": curved(0.2, seed=3)}
    names, seeds, images = (random.sample(list(each), len(each)) for each in (strategies, range(3), range(len(LABELS))))
    assert compared(strategies, resamples=10) == compared({name: strategies[name] for name in names}, resamples=10)
    turned = {name: changed(strategies[name], seeds, np.array(images)) for name in names}
    there, back = (dict(numbers(compared(each, resamples=10).model_dump())) for each in (strategies, turned))
    assert there.keys() == back.keys()
    for path, value in there.items():
        if "temperature" not in path:  # a value for each seed
            assert back[path] == (pytest.approx(value, abs=1e-9) if isinstance(value, float) else value), path


def test_what_is_drawn_hardly_depends_on_the_order_of_images_or_on_the_seed():
    one, other = trained(1.0, seed=1), trained(0.8, seed=2)
    turned = [changed(each, [2, 1, 0], np.arange(len(LABELS))[::-1]) for each in (one, other)]
    found = []
    for (a, b), seed in (((one, other), 0), (turned, 0), ((one, other), 1)):
        pairs = compare_pairs({"a": a.predictions, "b": b.predictions}, "accuracy", 2000, 0.95, seed)
        found.append(pairs[0].differences)
    for metric in METRICS:
        assert np.ptp([each[metric].p_run_beats for each in found]) < 0.05
        first, last = (each[metric].model_copy(update={"p_run_beats": None}) for each in (found[0], found[2]))
        assert first == last


def test_strategies_are_the_same_to_the_bit_from_run_to_run():
    strategies = {"a": curved(1.0, seed=1), "b": curved(0.8, seed=2)}
    assert compared(strategies) == compared(strategies)


def test_the_chances_of_two_strategies_to_beat_each_other_sum_to_one():
    one, other = trained(0.6, seed=1), trained(0.5, seed=2)
    (first,), (second,) = (compared({"a": x, "b": y}).pairs for x, y in ((one, other), (other, one)))
    for metric in METRICS:
        there, back = first.differences[metric], second.differences[metric]
        assert there.p_a_beats_b + back.p_a_beats_b == pytest.approx(1)
        assert there.p_run_beats + back.p_run_beats == pytest.approx(1)
        assert there.p_value == pytest.approx(back.p_value)
        assert there.difference == pytest.approx(-back.difference)
        assert there.ci == pytest.approx([-end for end in reversed(back.ci)])


def test_strategies_that_predict_the_same_are_even():
    result = compared(dict.fromkeys("abc", trained(1.0)))
    for pair in result.pairs:
        for found in pair.differences.values():
            assert (found.p_a_beats_b, found.ci, found.p_run_beats) == (0.5, (0, 0), 0.5)
            assert (found.p_value, found.p_adjusted) == (1, 1)
        assert pair.better is None
    assert result.winner == "a"


@pytest.mark.parametrize("metric", METRICS)
def test_a_clear_winner_is_significantly_better(metric):
    result = compared({"better": trained(3.0, seed=1), "guess": trained(0.0, seed=2)}, metric)
    (pair,) = result.pairs
    assert (result.winner, pair.better) == ("better", "better")
    assert pair.differences[metric].p_a_beats_b == pytest.approx(1, abs=1e-3)
    assert pair.differences[metric].p_run_beats > 0.9


def test_the_winner_is_chosen_on_validation_alone():
    good, bad = predicted(2.0, seed=1), predicted(0.2, seed=2)
    a = StrategyPredictions(bad.valid, good.test, bad.valid_scores, good.test_scores)
    b = StrategyPredictions(good.valid, bad.test, good.valid_scores, bad.test_scores)
    result = compared({"a": Trained(a), "b": Trained(b)})
    assert (result.winner, result.pairs[0].better) == ("b", "a")


def test_a_pair_with_different_seeds_is_compared_on_those_that_both_have():
    whole, other = predicted(1.0, seed=1, seeds=5), predicted(0.5, seed=2, seeds=5)

    def of(strategy, seeds):
        parts = [Scored([part.labels[s] for s in seeds], [part.probabilities[s] for s in seeds], None, tuple(seeds))
                 for part in (strategy.valid, strategy.test)]  # fmt: skip
        return StrategyPredictions(*parts, *([scores[s] for s in seeds]
                                             for scores in (strategy.valid_scores, strategy.test_scores)))  # fmt: skip

    shared = [0, 2, 4]
    (mixed,) = compare_pairs({"a": of(whole, range(5)), "b": of(other, shared)}, "accuracy", 200, 0.95, 0)
    (same,) = compare_pairs({"a": of(whole, shared), "b": of(other, shared)}, "accuracy", 200, 0.95, 0)
    for metric in METRICS:
        there, back = (list(pair.differences[metric]) for pair in (mixed, same))
        assert [pytest.approx(value) for _, value in there] == [value for _, value in back]


def test_one_strategy_alone_has_no_pairs():
    result = compared({"only": trained(1.0)})
    assert (result.winner, result.pairs, result.crossovers, result.ranking) == ("only", (), (), None)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_intervals_hold_the_mean_and_are_in_order(classes):
    found = compared({"a": trained(1.0, labels=np.arange(210) % classes)}).strategies["a"]
    for each in (*found.valid.values(), *found.test.values()):
        assert each.ci[0] < each.mean < each.ci[1]


def test_differences_are_paired_so_shared_mistakes_cancel():
    a = predicted(1.0)
    almost = [p.copy() for p in a.test.probabilities]
    for p in almost:
        p[:4] = p[:4, ::-1]
    scores = [score(*pair) for pair in zip(a.test.labels, almost)]
    b = StrategyPredictions(a.valid, Scored(a.test.labels, almost), a.valid_scores, scores)
    result = compared({"a": Trained(a), "b": Trained(b)})
    assert np.ptp(result.pairs[0].differences["accuracy"].ci) < np.ptp(result.strategies["a"].test["accuracy"].ci) / 2


def test_p_values_are_corrected_for_the_number_of_pairs_in_each_metric_by_itself():
    result = compared(
        {name: trained(skill, seed=i) for i, (name, skill) in enumerate([("a", 1), ("b", 0.8), ("c", 0.6)])}
    )
    for metric in METRICS:
        found = [pair.differences[metric] for pair in result.pairs]
        assert [each.p_adjusted for each in found] == intervals.holm([each.p_value for each in found])
        assert min(each.p_adjusted for each in found) == pytest.approx(3 * min(each.p_value for each in found))


def intervals_of(comparison):
    """Return the length of every interval of a comparison, by where it stands."""
    found = {}
    for name, strategy in comparison.strategies.items():
        found |= {(name, split, m): s.ci for split in ("valid", "test") for m, s in getattr(strategy, split).items()}
        found |= {(name, point.fraction, m): s.ci for point in strategy.curve for m, s in point.scores.items()}
        found |= {(name, "class", c): scores.recall.ci for c, scores in strategy.classes.items()}
        found |= {(name, "law", i): ends for i, ends in enumerate(zip(strategy.law.low, strategy.law.high))}
    found |= {(pair.a, pair.b, m): each.ci for pair in comparison.pairs for m, each in pair.differences.items()}
    found |= {("crossing", c.a, c.b): c.ci for c in comparison.crossovers if c.ci}
    return {key: high - low for key, (low, high) in found.items()}


def test_every_interval_is_at_the_confidence_that_is_asked_for():
    strategies = {"a": curved(0.9, seed=1), "b": curved(0.6, seed=2)}
    sure, bold = (intervals_of(compared(strategies, confidence=confidence)) for confidence in (0.95, 0.8))
    assert len(sure) > 100
    assert all(bold[key] < length for key, length in sure.items())


def test_a_difference_is_significant_from_the_level_that_is_asked_for():
    strategies = {"a": trained(0.9, seed=1), "b": trained(0.6, seed=2)}
    p = compared(strategies).pairs[0].differences["accuracy"].p_adjusted
    assert compared(strategies, confidence=1 - 0.9 * p).pairs[0].better is None
    assert compared(strategies, confidence=1 - 1.1 * p).pairs[0].better == "a"


def test_classes_have_their_images_recall_precision_and_f1():
    labels, guess = np.array([0, 0, 1, 2]), np.eye(4)[[0, 1, 1, 2]]
    found = class_scores(Scored([labels] * 2, [guess] * 2), 0.95)
    assert [(row.images, row.recall and row.recall.mean, row.precision, row.f1) for row in found] == [
        (2, 0.5, 1.0, pytest.approx(2 / 3)),
        (1, 1.0, 0.5, pytest.approx(2 / 3)),
        (1, 1.0, 1.0, 1.0),
        (0, None, 0.0, 0.0),
    ]
    assert found[0].recall.ci[0] < 0.5 < found[0].recall.ci[1]


def test_the_curve_has_a_point_for_each_fraction_and_ends_with_all_the_data():
    found = compared({"a": curved(2.0, seed=1)}).strategies["a"]
    assert [(point.fraction, point.images, point.train_flops) for point in found.curve] == [
        (0.25, 50, 3),
        (0.5, 100, 6),
        (1.0, 200, 10**6),
    ]
    assert found.curve[-1].scores == found.test
    assert found.curve[0].scores["accuracy"].mean < found.test["accuracy"].mean


def test_draws_of_curves_are_paired_over_fractions_and_strategies():
    one, other = curved(1.0, seed=1), curved(0.8, seed=2)
    predictions = {"b": one.predictions, "a": other.predictions, "same": one.predictions}
    found = curve_draws(predictions, "accuracy", 300, 0)
    assert [(name, list(rows)) for name, rows in found.items()] == [(n, [0.25, 0.5, 1.0]) for n in ("a", "b", "same")]
    assert all((found["b"][f] == found["same"][f]).all() for f in found["b"])
    score = compared({"one": one}).strategies["one"].test["accuracy"]
    assert found["b"][1.0].mean() == pytest.approx(score.mean, abs=0.01)
    assert np.quantile(found["b"][1.0], [0.025, 0.975]) == pytest.approx(score.ci, abs=0.03)


def test_confusion_counts_true_classes_by_row_over_all_seeds():
    guess = np.eye(3)[[0, 1, 1, 2]]
    assert confusion(Scored([np.array([0, 0, 1, 2])] * 2, [guess] * 2)) == [[2, 2, 0], [0, 2, 0], [0, 0, 2]]


@pytest.mark.parametrize("metric", METRICS)
def test_the_best_mean_is_chosen_and_the_first_by_name_of_equals(metric):
    best = min if metric in LOWER_IS_BETTER else max
    means = {"c": 0.2, "b": 0.7, "a": 0.2, "d": 0.7}
    assert choose(means, metric) == {min: "a", max: "b"}[best]
