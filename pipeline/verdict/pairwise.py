"""Who is ahead of whom in a comparison, by how much, and whether it can be told. Pure reading of the dict."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from pipeline.config.metric_names import LOWER_IS_BETTER

Comparison = dict[str, Any]


@dataclass(frozen=True)
class Lead:
    """How far one strategy is ahead of another on test, by `compare.metric`; a gain is always good."""

    gain: float  # negative: it is behind
    ci95: tuple[float, float]
    chance: float  # P(it beats the other)
    p: float  # corrected for the number of comparisons
    told: bool  # better, after correction


def lead(comparison: Comparison, name: str, other: str) -> Lead:
    """Return how far a strategy is ahead of another, whichever way round the pair is listed; KeyError without one."""
    for pair in comparison["pairs"]:
        if {pair["a"], pair["b"]} == {name, other}:
            found, metric = pair[comparison["metric"]], comparison["metric"]
            sign = 1 if (pair["a"] == name) != (metric in LOWER_IS_BETTER) else -1
            low, high = sorted(sign * end for end in found["ci95"])
            chance = found["p_a_beats_b"] if pair["a"] == name else 1 - found["p_a_beats_b"]
            return Lead(sign * found["difference"], (low, high), chance, found["p_adjusted"], pair["better"] == name)
    raise KeyError((name, other))


def told(comparison: Comparison, name: str, others: Iterable[str]) -> bool:
    """Return whether a strategy is told better than each other one; False where there is no other."""
    found = [lead(comparison, name, other).told for other in others if other != name]
    return bool(found) and all(found)


def unbeaten(comparison: Comparison, names: Collection[str]) -> list[str]:
    """Return, by name, the strategies that no other of `names` is told to beat."""
    return [n for n in sorted(names) if not any(lead(comparison, m, n).told for m in names if m != n)]


def recommend(comparison: Comparison, names: Collection[str] | None = None) -> str | None:
    """Return the cheapest to train of those that no other is told to beat, or None where `names` is empty.

    Of equally cheap ones it is the better on validation, and of equals the first by name. Should each be beaten by
    another, it is the best on validation.
    """
    names = sorted(comparison["strategies"] if names is None else names)
    left = unbeaten(comparison, names)
    by_score = {name: rank for rank, name in enumerate(ranked(comparison, names, "valid"))}
    if not left:
        return next(iter(by_score), None)
    return min(left, key=lambda name: (train_flops(comparison, name), by_score[name]))


def goodness(comparison: Comparison, name: str, split: str) -> float:
    """Return the mean of `compare.metric` on a split, its sign such that more is better."""
    metric = comparison["metric"]
    mean = float(comparison["strategies"][name][split][metric]["mean"])
    return -mean if metric in LOWER_IS_BETTER else mean


def ranked(comparison: Comparison, names: Iterable[str], split: str) -> list[str]:
    """Return names from the best mean to the worst; equals by name."""
    return sorted(names, key=lambda name: (-goodness(comparison, name, split), name))


def front(comparison: Comparison, cost: str = "train_flops") -> list[str]:
    """Return, from cheap to dear, the strategies than which none is as cheap and as good and in one of them better.

    Good means the mean on test, cheap a field of `cost`.
    """
    points = {
        name: (s["cost"][cost], -goodness(comparison, name, "test")) for name, s in comparison["strategies"].items()
    }
    kept = [n for n, p in points.items() if not any(q[0] <= p[0] and q[1] <= p[1] and q != p for q in points.values())]
    return sorted(kept, key=lambda name: (points[name], name))


def cheapest(comparison: Comparison, names: Iterable[str]) -> str:
    """Return the cheapest to train; the first by name of equals."""
    return min(sorted(names), key=lambda name: train_flops(comparison, name))


def train_flops(comparison: Comparison, name: str) -> float:
    """Return the operations of one training, feature passes included."""
    return float(comparison["strategies"][name]["cost"]["train_flops"])


def gain_over_majority(comparison: Comparison, name: str) -> float:
    """Return a strategy's mean validation accuracy above that of always naming the commonest class.

    Both are of balanced accuracy where that decides: naming one class alone is then right of one class in all.
    """
    counts, scores = comparison["dataset"]["counts"]["valid"].values(), comparison["strategies"][name]["valid"]
    if comparison["metric"] == "balanced_accuracy":
        return float(scores["balanced_accuracy"]["mean"] - 1 / len(counts))
    return float(scores["accuracy"]["mean"] - max(counts) / sum(counts))


def crossing(comparison: Comparison, name: str, other: str) -> dict[str, Any] | None:
    """Return what the learning curves say of where two strategies cross, or None where there are no curves."""
    found = (c for c in comparison.get("crossovers", ()) if {c["a"], c["b"]} == {name, other})
    return next(found, None)


def overtaker(comparison: Comparison, crossing: dict[str, Any]) -> str:
    """Return which of two strategies is ahead after their crossing.

    `leader` is the one told better with all images. Where none is, the overtaker is the one behind at the smallest
    size: so far from the crossing the two should be well apart.
    """
    a, b = crossing["a"], crossing["b"]
    if crossing["leader"] is not None:
        behind = b if crossing["leader"] == a else a
        return str(crossing["leader"] if crossing["outcome"] == "inside" else behind)
    first = {name: {"test": comparison["strategies"][name]["curve"][0]} for name in (a, b)}
    small = {"metric": comparison["metric"], "strategies": first}
    return str(a if goodness(small, a, "test") < goodness(small, b, "test") else b)
