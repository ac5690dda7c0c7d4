"""The difference of two strategies on test, as the sentences write it."""

from pipeline.config.metric_names import LOWER_IS_BETTER
from pipeline.statistics.schema import Comparison
from pipeline.verdict.formatting import called, corrected, gap, gap_interval, times
from pipeline.verdict.pairwise import PairedDifference, train_flops


def distance(found: PairedDifference, comparison: Comparison) -> str:
    """Return how far one is ahead or behind: 1.4 points behind (95 % CI -0.3 to 3.1; corrected p = 0.212)."""
    side = "ahead" if found.gain >= 0 else "behind"
    size, within = _size_and_interval(found, comparison)
    return f"{size} {side} ({within}; {corrected(found.p_adjusted)})"


def score_change(found: PairedDifference, comparison: Comparison) -> str:
    """Return how one score compares with the other: 1.4 points lower accuracy (95 % CI -0.3 to 3.1)."""
    metric = comparison.metric
    if found.gain == 0:
        return f"the same {called(metric)}"
    side = "higher" if (found.gain > 0) != (metric in LOWER_IS_BETTER) else "lower"
    size, within = _size_and_interval(found, comparison)
    return f"{size} {side} {called(metric)} ({within})"


def _size_and_interval(found: PairedDifference, comparison: Comparison) -> tuple[str, str]:
    """Return the size of a difference, and its interval in the direction in which it is positive."""
    ends = found.ci if found.gain >= 0 else (-found.ci[1], -found.ci[0])
    return gap(found.gain, comparison.metric), gap_interval(ends, comparison.metric, comparison.confidence)


def price_ratio(comparison: Comparison, name: str, own: str) -> str:
    """Return how a training's cost compares with another's: 4.0 times as much."""
    return f"{times(train_flops(comparison, name) / max(train_flops(comparison, own), 1))} as much"
