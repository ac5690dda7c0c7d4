"""Pairs of strategies: which is ahead, by how much, and whether significantly."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pipeline.config.metric_names import LOWER_IS_BETTER
from pipeline.statistics.schema import Comparison, Crossover, Interval, Pair


@dataclass(frozen=True)
class PairedDifference:
    """How far one strategy is ahead of another on test, by the metric that decides; a positive gain is better."""

    gain: float  # negative: it is behind
    ci: Interval
    p_better: float  # that its expected score is the better one
    p_adjusted: float  # corrected for the number of comparisons
    significant: bool  # it is significantly better, after correction


@dataclass(frozen=True)
class Standing:
    """The other strategies, by how one compares with them on test, each list in the given order."""

    better_than: list[str]  # significantly
    tied_with: list[str]  # no significant difference
    worse_than: list[str]  # significantly


def _pair(comparison: Comparison, name: str, other: str) -> Pair:
    found = next((pair for pair in comparison.pairs if {pair.a, pair.b} == {name, other}), None)
    if found is None:
        raise KeyError((name, other))
    return found


def paired_difference(comparison: Comparison, name: str, other: str) -> PairedDifference:
    """Return how far a strategy is ahead of another; KeyError where the two were not compared."""
    pair, metric = _pair(comparison, name, other), comparison.metric
    found = pair.differences[metric]
    sign = 1 if (pair.a == name) != (metric in LOWER_IS_BETTER) else -1
    low, high = sorted(sign * end for end in found.ci)
    p_better = found.p_a_beats_b if pair.a == name else 1 - found.p_a_beats_b
    return PairedDifference(sign * found.difference, (low, high), p_better, found.p_adjusted, pair.better == name)


def standing(comparison: Comparison, name: str, others: Iterable[str]) -> Standing:
    """Return how a strategy compares with each of some others."""
    found = Standing([], [], [])
    for other in others:
        better = _pair(comparison, name, other).better
        side = found.tied_with if better is None else found.better_than if better == name else found.worse_than
        side.append(other)
    return found


def significantly_better(comparison: Comparison, name: str, than: Iterable[str]) -> bool:
    """Return whether a strategy is significantly better than each other one; False where there is none."""
    found = [paired_difference(comparison, name, other).significant for other in than if other != name]
    return bool(found) and all(found)


def pareto_front(comparison: Comparison, cost: Literal["train_flops", "predict_flops"]) -> list[str]:
    """Return the Pareto front of a cost and the mean score on test, the cheapest first.

    A strategy is on it if no other is at least as cheap and as good, and better in one of the two.
    """
    points = {
        name: (getattr(s.cost, cost), -comparison.goodness(name, "test")) for name, s in comparison.strategies.items()
    }
    kept = [n for n, p in points.items() if not any(q[0] <= p[0] and q[1] <= p[1] and q != p for q in points.values())]
    return sorted(kept, key=lambda name: (points[name], name))


def cheapest(comparison: Comparison, names: Iterable[str]) -> str:
    """Return the cheapest to train; of equals, the first by name."""
    return min(sorted(names), key=lambda name: train_flops(comparison, name))


def images_compared(comparison: Comparison) -> tuple[int, str]:
    """Return on how many images strategies are compared, and what these are called."""
    tested = sum(comparison.scored.values())
    return tested + comparison.unseen, "held-out images" if comparison.unseen else "test images"


def train_flops(comparison: Comparison, name: str) -> int:
    """Return the operations of one training, feature passes included."""
    return comparison.strategies[name].cost.train_flops


def crossover(comparison: Comparison, name: str, other: str) -> Crossover:
    """Return where the learning curves of two strategies cross; KeyError where the two were not compared."""
    found = next((c for c in comparison.crossovers if {c.a, c.b} == {name, other}), None)
    if found is None:
        raise KeyError((name, other))
    return found
