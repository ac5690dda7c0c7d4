from dataclasses import replace

import numpy as np
import pytest

from pipeline.statistics.evidence import evidence
from pipeline.statistics.intervals import difference_interval, estimate
from pipeline.statistics.jackknife import Scored
from pipeline.statistics.scores_and_differences import StrategyPredictions

TESTED, FOLD = 200, 100
SEEDS = (1, 2, 3, 4, 5)


def answers(rng, hard, level, noise=0.1):
    """Predictions of images of the second class, right the more often the higher the level."""
    right = level - hard + rng.normal(0, noise, len(hard)) > 0
    sure = np.where(right, 0.9, 0.1)
    return np.stack([1 - sure, sure], 1)


def predicted(rng, hard_test, hard_valid, level, seeds=SEEDS):
    """Predictions of a strategy: each seed's on the test images and on a fold of its own."""
    tested = Scored([np.ones(TESTED, int)] * len(seeds), [answers(rng, hard_test, level) for _ in seeds], None, seeds)
    ids = [np.array([f"{seed}-{n:03}" for n in range(FOLD)]) for seed in seeds]
    folds = [answers(rng, hard_valid[seed], level) for seed in seeds]
    unseen = Scored([np.ones(FOLD, int)] * len(seeds), folds, ids, seeds)
    return StrategyPredictions(unseen, tested, [], [], {}, unseen)


@pytest.fixture
def two():
    rng = np.random.default_rng(0)
    hard = rng.random(TESTED), {seed: rng.random(FOLD) for seed in SEEDS}
    return {"a": predicted(rng, *hard, 0.85), "b": predicted(rng, *hard, 0.7)}


def right(scored):
    return np.concatenate([p.argmax(1) == y for p, y in zip(scored.probabilities, scored.labels)])


def test_a_score_is_the_mean_in_which_each_image_counts_the_same(two):
    tables, count = evidence(two)
    assert count == 5 * FOLD
    for name, each in two.items():
        share = 5 * FOLD / (5 * FOLD + TESTED)
        wanted = (1 - share) * right(each.test).mean() + share * right(each.unseen).mean()
        assert tables[name]["accuracy"].scores.mean() == pytest.approx(wanted)
        assert tables[name]["accuracy"].influence.shape == (5, TESTED + 5 * FOLD)


def test_more_images_leave_less_open(two):
    tables, _ = evidence(two)
    pooled = estimate(tables["a"]["accuracy"] - tables["b"]["accuracy"])
    tested = estimate(two["a"].tested["accuracy"] - two["b"].tested["accuracy"])
    assert pooled.variance < 0.6 * tested.variance


def test_a_strategy_with_fewer_seeds_is_compared_on_the_images_that_both_have(two):
    rng = np.random.default_rng(1)
    same = replace(two["a"], **{
        kind: Scored(*([part[:3] for part in (found.labels, found.probabilities)]),
                     None if found.ids is None else found.ids[:3], SEEDS[:3])
        for kind, found in (("test", two["a"].test), ("unseen", two["a"].unseen))
    })  # fmt: skip
    assert rng is not None
    tables, count = evidence({"a": two["a"], "fewer": same})
    assert count == 5 * FOLD
    difference = estimate(tables["a"]["accuracy"] - tables["fewer"]["accuracy"])
    assert (difference.mean, difference.variance) == (0, 0)


def test_test_images_are_all_there_is_where_a_seed_has_no_others(two):
    for lacking in (None, replace(two["b"].unseen, labels=two["b"].unseen.labels[1:],
                                  probabilities=two["b"].unseen.probabilities[1:], ids=two["b"].unseen.ids[1:],
                                  seeds=SEEDS[1:])):  # fmt: skip
        tables, count = evidence({"a": two["a"], "b": replace(two["b"], unseen=lacking)})
        assert count == 0
        assert tables["a"] == two["a"].tested


def test_the_order_of_seeds_and_images_does_not_matter(two):
    order, turn = np.random.default_rng(3).permutation(FOLD), [3, 1, 4, 0, 2]

    def turned(scored, within):
        parts = {kind: [getattr(scored, kind)[i][within] for i in turn] for kind in ("labels", "probabilities")}
        ids = None if scored.ids is None else [scored.ids[i][within] for i in turn]
        return Scored(**parts, ids=ids, seeds=tuple(SEEDS[i] for i in turn))

    other = {name: replace(p, test=turned(p.test, np.arange(TESTED)), unseen=turned(p.unseen, order))
             for name, p in two.items()}  # fmt: skip
    found, again = ({m: estimate(tables["a"][m] - tables["b"][m]) for m in ("accuracy", "roc_auc", "log_loss")}
                    for tables, _ in (evidence(two), evidence(other)))  # fmt: skip
    for metric, each in found.items():
        assert again[metric].mean == pytest.approx(each.mean, abs=1e-12)
        assert again[metric].variance == pytest.approx(each.variance, rel=1e-9)


@pytest.mark.parametrize("seeds", [SEEDS, SEEDS[:3]])
def test_the_intervals_of_differences_hold_the_truth(seeds):
    rng, held, times = np.random.default_rng(5), 0, 400
    for _ in range(times):
        hard = rng.random(TESTED), {seed: rng.random(FOLD) for seed in seeds}
        tables, _ = evidence({name: predicted(rng, *hard, 0.8, seeds) for name in "ab"})
        low, high = difference_interval(estimate(tables["a"]["accuracy"] - tables["b"]["accuracy"]), 0.95)
        held += low <= 0 <= high
    assert held / times >= 0.93
