"""The comparison at another number of training images, read off the learning curves."""

from itertools import combinations, pairwise
from math import log, sqrt
from statistics import NormalDist

from pipeline.config.metric_names import LOWER_IS_BETTER
from pipeline.statistics.intervals import holm
from pipeline.statistics.schema import Comparison, Difference, Pair, Score, StrategyResult
from pipeline.statistics.scores_and_differences import better
from pipeline.statistics.timings import Timings

NORMAL = NormalDist()
CERTAIN = 40.0  # standard errors, of a difference without any spread


def sizes(comparison: Comparison) -> list[int]:
    """Return the measured numbers of training images, ascending: those that every strategy has."""
    curves = [{point.images for point in strategy.curve} for strategy in comparison.strategies.values()]
    return sorted(set.intersection(*curves))


def at_images(comparison: Comparison, images: int) -> Comparison:
    """Return the comparison interpolated to a number of training images within the measured range.

    Scores, intervals and training FLOPs are interpolated between measured points, scores over the logarithm of the
    count. Differences treat the two intervals as independent, which is conservative, since seeds and test images are
    shared; p-values are corrected over all pairs (Holm 1979). Learning curves have no scores of classes and none on
    validation: the former are left out, the latter replaced by those on test. Outside the range, the nearest end is
    returned.
    """
    measured = sizes(comparison)
    if images >= measured[-1]:
        return comparison
    strategies = {name: _strategy(s, max(images, measured[0])) for name, s in comparison.strategies.items()}
    return comparison.model_copy(update={"strategies": strategies, "pairs": _pairs(strategies, comparison)})


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


def _pairs(strategies: dict[str, StrategyResult], comparison: Comparison) -> tuple[Pair, ...]:
    names = list(combinations(sorted(strategies), 2))
    found: dict[tuple[str, str], dict[str, Difference]] = {pair: {} for pair in names}
    for m in next(iter(strategies.values())).test:
        plain = [_difference(strategies[a].test[m], strategies[b].test[m], m, comparison.confidence) for a, b in names]
        adjusted = holm([each.p_value for each in plain])
        for pair, difference, p in zip(names, plain, adjusted, strict=True):
            found[pair][m] = difference.model_copy(update={"p_adjusted": p})
    return tuple(
        Pair(a=a, b=b, differences=each, better=better(a, b, each[comparison.metric], comparison.confidence))
        for (a, b), each in found.items()
    )


def _difference(a: Score, b: Score, metric: str, confidence: float) -> Difference:
    """Return the difference of two scores, its p-value not yet corrected."""
    difference = a.mean - b.mean
    reach = sqrt(sum((s.ci[1] - s.ci[0]) ** 2 for s in (a, b))) / 2
    # Without any spread, a difference is certain, and equal scores are a tie.
    quantile = NORMAL.inv_cdf((1 + confidence) / 2)
    z = difference / (reach / quantile) if reach else (difference > 0) * CERTAIN - (difference < 0) * CERTAIN
    p = 2 * NORMAL.cdf(-abs(z))
    return Difference(
        difference=difference,
        ci=(difference - reach, difference + reach),
        p_a_beats_b=NORMAL.cdf(-z if metric in LOWER_IS_BETTER else z),
        p_value=p,
        p_adjusted=p,
        p_run_beats=None,
    )
