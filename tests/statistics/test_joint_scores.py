from dataclasses import replace

import numpy as np
import pytest
from scipy.special import stdtrit

from pipeline.statistics.intervals import estimate
from pipeline.statistics.jackknife import InfluenceTable, Scored, influence_tables
from pipeline.statistics.joint_scores import at_size, estimates, joint_scores
from pipeline.statistics.posterior import Estimates
from pipeline.statistics.scores_and_differences import StrategyPredictions
from tests.support.example import comparison

IMAGES = 300
T = stdtrit(4, 0.8413447460685429)  # one standard deviation of five seeds


def predicted(seed, level, seeds=(1, 2, 3, 4, 5), fractions=(0.5,)):
    """Return predictions of a strategy, right on about a share of the images; images are alike hard for all."""
    rng, hard = np.random.default_rng(seed), np.random.default_rng(0).random(IMAGES)

    def scored():
        rows = {n: np.random.default_rng([seed, n]).normal(0, 0.3, IMAGES) for n in seeds}
        right = [(1.2 * level - hard + rows[n] > 0).astype(float) for n in seeds]
        probabilities = [np.stack([1 - 0.9 * r - 0.05, 0.9 * r + 0.05], 1) for r in right]
        return Scored([np.ones(IMAGES, int)] * len(seeds), probabilities, None, tuple(seeds))

    found = scored()
    curve = {fraction: influence_tables(found) for fraction in fractions}
    scores = [{"accuracy": float(s)} for s in influence_tables(found)["accuracy"].scores]
    assert rng is not None
    return StrategyPredictions(found, found, scores, scores, curve)


def joint(predictions):
    sizes = {name: {f: round(1000 * f) for f in each.by_fraction} for name, each in predictions.items()}
    return joint_scores(predictions, sizes, "accuracy")


def variances(found):
    at = at_size(found)
    return Estimates(at.strategies, np.array(at.means), np.array(at.from_images), np.array(at.from_seeds))


def test_the_variance_of_a_difference_is_that_of_the_paired_difference():
    both = {"a": predicted(1, 0.8), "b": predicted(2, 0.7)}
    found = variances(joint(both))
    tables = [both[name].tested["accuracy"] for name in "ab"]
    paired = estimate(tables[0] - tables[1])
    assert found.gain[0, 1] == pytest.approx(float(paired.mean))
    difference = tables[0] - tables[1]
    of_images, of_two = (difference.influence.mean(0) ** 2).sum(), difference.influence.sum(0)
    between = difference.scores.var(ddof=1) / 5
    shared = ((of_two**2).sum() - (difference.influence**2).sum()) / 20
    explained = of_images - shared
    assert paired.variance == pytest.approx(max(between + shared, of_images))
    beyond = (between - explained) * T**2 + explained * (T**2 - 1) / 4
    assert found.variance[0, 1] == pytest.approx(of_images + max(beyond, 0))


def test_seeds_that_agree_by_chance_leave_what_the_images_leave_open():
    """Each seed has images of its own, and two strategies differ by as much with each seed."""
    labels, ids = np.ones(100, int), np.arange(200).reshape(2, 100)
    right = {"a": np.arange(100) % 10 > 0, "b": np.arange(100) % 10 > 1}
    both = {}
    for name, hits in right.items():
        parts = [np.stack([1 - p, p], 1) for p in (np.where(hits, 0.9, 0.1),) * 2]
        scored = Scored([labels] * 2, parts, [*ids], (1, 2))
        both[name] = StrategyPredictions(scored, scored, [], [])
    found = variances(joint(both))
    assert found.gain[0, 1] == pytest.approx(0.1)
    assert found.variance[0, 1] == pytest.approx(0.1 * 0.9 / 198, rel=0.01)


def test_strategies_may_lack_seeds_and_sizes():
    both = {"a": predicted(1, 0.8, fractions=(0.25, 0.5)), "b": predicted(2, 0.7, seeds=(1, 2, 3))}
    found = joint(both)
    assert list(zip(found.strategies, found.images)) == [
        ("a", 250), ("a", 500), ("a", 1000), ("b", 500), ("b", 1000)
    ]  # fmt: skip
    assert (variances(found).variance >= 0).all()
    difference = both["a"].tested["accuracy"] - both["b"].tested["accuracy"]
    assert difference.seeds == (1, 2, 3)
    same = both["a"].tested["accuracy"].of((1, 2, 3))
    assert difference.scores == pytest.approx(same.scores - both["b"].tested["accuracy"].scores)


def test_the_order_of_strategies_images_and_seeds_does_not_matter():
    both = {"a": predicted(1, 0.8), "b": predicted(2, 0.7)}
    order, seeds = np.random.default_rng(3).permutation(IMAGES), [4, 2, 0, 1, 3]

    def turned(each):
        tables = {m: InfluenceTable(t.scores[seeds], t.influence[seeds][:, order], t.images,
                                    tuple(t.seeds[i] for i in seeds)) for m, t in each.tested.items()}  # fmt: skip
        changed = replace(each, curve={0.5: tables})
        changed.__dict__["tested"] = tables
        return changed

    before, after = variances(joint(both)), variances(joint({name: turned(both[name]) for name in "ba"}))
    for part in ("means", "from_images", "from_seeds"):
        assert getattr(after, part) == pytest.approx(getattr(before, part), abs=1e-12)


def test_between_two_sizes_both_count_by_the_logarithm():
    compared = comparison({"a": {}, "b": {"slope": 0.05}})
    for images, mean in ((400, 0.75), (800, 0.8), (round(400 * 2**0.5), 0.775)):
        found = at_size(compared.joint, images)
        assert found.means[1] == pytest.approx(mean, abs=1e-4)
        assert np.array(found.from_images)[0, 0] == pytest.approx((0.018 / 1.959964) ** 2 / 2)
    assert at_size(compared.joint, 10).means == at_size(compared.joint, 160).means
    assert estimates(compared, ["b", "a"]).names == ("b", "a")


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_more_is_better_in_estimates_whatever_the_metric(metric):
    compared = comparison({"a": {"accuracy": 0.9}, "b": {"accuracy": 0.8}}, metric=metric)
    assert estimates(compared, ["a", "b"]).gain[0, 1] == pytest.approx(0.1)
