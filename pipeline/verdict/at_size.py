"""The comparison at another number of training images: interpolated, or forecast by the fitted learning curves."""

from itertools import combinations, pairwise
from math import hypot, log, sqrt
from statistics import NormalDist

import numpy as np

from pipeline.config.metric_names import LOWER_IS_BETTER
from pipeline.statistics.intervals import holm
from pipeline.statistics.joint_scores import at_size, estimates
from pipeline.statistics.schema import Comparison, Difference, JointScores, Pair, Score, StrategyResult
from pipeline.statistics.scores_and_differences import better
from pipeline.statistics.timings import Timings

NORMAL = NormalDist()
CERTAIN = 40.0  # standard errors, of a difference without any spread


def sizes(comparison: Comparison) -> list[int]:
    """Return the measured numbers of training images, ascending: those that every strategy has."""
    curves = [{point.images for point in strategy.curve} for strategy in comparison.strategies.values()]
    return sorted(set.intersection(*curves))


def at_images(comparison: Comparison, images: int) -> Comparison:
    """Return the comparison at another number of training images.

    Within the measured range, scores, intervals and training FLOPs are interpolated between measured points, scores
    over the logarithm of the count; differences are those of the paired predictions at both points. Beyond it, it is a
    forecast by each strategy's fitted curve, up to the end of that; below it, the fewest measured count. P-values are
    corrected over all pairs (Holm 1979). Learning curves have no scores of classes and none on validation: the former
    are left out, the latter replaced by those on test.
    """
    measured = sizes(comparison)
    if images == measured[-1]:
        return comparison
    if images > measured[-1]:
        return forecast(comparison, images)
    images = max(images, measured[0])
    strategies = {name: _strategy(s, images) for name, s in comparison.strategies.items()}
    return with_scores(comparison, strategies, at_size(comparison.joint, images))


def with_scores(
    comparison: Comparison, strategies: dict[str, StrategyResult], joint: JointScores
) -> Comparison:  # fmt: skip
    """Return a comparison with other results, and the pairs that follow from their joint scores."""
    changed = comparison.model_copy(update={"strategies": strategies, "joint": joint})
    return changed.model_copy(update={"pairs": _pairs(changed)})


def forecast(comparison: Comparison, images: int) -> Comparison:
    """Return the comparison beyond the measured sizes: each score moves as its fitted curve does.

    What a curve's band is wider by adds to the score's own variance. A strategy without a fitted curve stays.
    """
    joint, strategies = at_size(comparison.joint), {}
    means, noise = list(joint.means), [list(row) for row in joint.from_seeds]
    for i, name in enumerate(joint.strategies):
        strategy, metric = comparison.strategies[name], comparison.metric
        last = strategy.curve[-1].images
        moved, wider = _along(strategy, last, images, comparison.confidence)
        means[i] += moved
        noise[i][i] += wider
        scores = strategy.test | {metric: _moved(strategy.test[metric], moved, wider, comparison.confidence)}
        flops = round(strategy.cost.train_flops * images / last)
        cost = strategy.cost.model_copy(update={"train_flops": flops})
        strategies[name] = strategy.model_copy(update={"test": scores, "valid": scores, "cost": cost, "classes": {}})
    rows = tuple(map(tuple, noise))
    return with_scores(
        comparison, strategies, joint.model_copy(update={"means": tuple(means), "from_seeds": rows})
    )  # fmt: skip


def _along(strategy: StrategyResult, last: int, images: int, confidence: float) -> tuple[float, float]:
    """Return by how much a fitted curve moves from one number of images to another, and its variance grows."""
    law = strategy.law
    if law is None:
        return 0.0, 0.0
    sizes, reach = np.log(law.images), 2 * NORMAL.inv_cdf((1 + confidence) / 2)

    def read(values: tuple[float, ...], at: float) -> float:
        return float(np.interp(log(at), sizes, values))

    here, there = ([read(values, at) for values in (law.low, law.middle, law.high)] for at in (last, images))
    wider = ((there[2] - there[0]) ** 2 - (here[2] - here[0]) ** 2) / reach**2
    return there[1] - here[1], max(wider, 0.0)


def _moved(score: Score, moved: float, wider: float, confidence: float) -> Score:
    more = NORMAL.inv_cdf((1 + confidence) / 2) * sqrt(wider)
    mean, (low, high) = score.mean + moved, score.ci
    ci = (mean - hypot(score.mean - low, more), mean + hypot(high - score.mean, more))
    return Score(mean=mean, ci=ci, per_seed=tuple(each + moved for each in score.per_seed))


def timings_at(timings: Timings, before: Comparison, after: Comparison) -> Timings:
    """Return the timings with the seconds of a training scaled in proportion to its FLOPs."""
    scaled = {}
    for name, each in ((name, timings[name]) for name in before.strategies if name in timings):
        ratio = after.strategies[name].cost.train_flops / max(before.strategies[name].cost.train_flops, 1)
        seconds = each.train.seconds_per_training * ratio
        train = each.train.model_copy(update={"seconds_per_training": seconds})
        scaled[name] = each.model_copy(update={"train": train})
    return scaled


def _strategy(strategy: StrategyResult, images: int) -> StrategyResult:
    curve = strategy.curve
    left, right = next(((a, b) for a, b in pairwise(curve) if a.images <= images <= b.images), (curve[0], curve[0]))
    span = log(right.images) - log(left.images)
    share = (log(images) - log(left.images)) / span if span else 0.0
    linear = (images - left.images) / (right.images - left.images) if span else 0.0
    scores = {m: _score(left.scores[m], right.scores[m], share) for m in left.scores}
    flops = round(_between(left.train_flops, right.train_flops, linear))
    cost = strategy.cost.model_copy(update={"train_flops": flops})
    return strategy.model_copy(update={"test": scores, "valid": scores, "cost": cost, "classes": {}})


def _score(left: Score, right: Score, share: float) -> Score:
    low, high = (_between(a, b, share) for a, b in zip(left.ci, right.ci, strict=True))
    per_seed = tuple(_between(a, b, share) for a, b in zip(left.per_seed, right.per_seed, strict=True))
    return Score(mean=_between(left.mean, right.mean, share), ci=(low, high), per_seed=per_seed)


def _between(a: float, b: float, share: float) -> float:
    return a if not share else a + share * (b - a)


def _pairs(comparison: Comparison) -> tuple[Pair, ...]:
    """Return the differences of all pairs in the metric that decides, of normal joint scores."""
    metric, found = comparison.metric, estimates(comparison, sorted(comparison.strategies))
    plain, sign = {}, -1.0 if metric in LOWER_IS_BETTER else 1.0
    for (i, a), (j, b) in combinations(enumerate(found.names), 2):
        gain, error = float(found.gain[i, j]), sqrt(float(found.variance[i, j]))
        reach = NORMAL.inv_cdf((1 + comparison.confidence) / 2) * error
        # Without any spread, a difference is certain, and equal scores are a tie.
        z = gain / error if error else (gain > 0) * CERTAIN - (gain < 0) * CERTAIN
        p = 2 * NORMAL.cdf(-abs(z))
        plain[a, b] = Difference(difference=sign * gain, ci=(sign * gain - reach, sign * gain + reach),
                                 p_a_beats_b=NORMAL.cdf(z), p_value=p, p_adjusted=p, p_run_beats=None)  # fmt: skip
    adjusted = holm([each.p_value for each in plain.values()])
    return tuple(
        Pair(a=a, b=b, differences={metric: corrected}, better=better(a, b, corrected, comparison.confidence))
        for ((a, b), each), p in zip(plain.items(), adjusted, strict=True)
        for corrected in [each.model_copy(update={"p_adjusted": p})]
    )
