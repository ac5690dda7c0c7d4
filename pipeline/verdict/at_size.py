"""The comparison as the learning curves have it at another number of training images."""

from itertools import combinations, pairwise
from math import log, sqrt
from statistics import NormalDist
from typing import Any

from pipeline.config.metric_names import LOWER_IS_BETTER
from pipeline.statistics.intervals import holm

NORMAL = NormalDist()
Tree = dict[str, Any]


def sizes(comparison: Tree) -> list[int]:
    """Return the measured numbers of training images, ascending: those that every strategy has."""
    curves = [{point["images"] for point in _points(s)} for s in comparison["strategies"].values()]
    return sorted(set.intersection(*curves)) if curves else []


def _points(strategy: Tree) -> list[Tree]:
    """Return the points of a strategy's curve whose size and cost are known."""
    return [point for point in strategy.get("curve") or () if None not in (point["images"], point["train_flops"])]


def at_images(comparison: Tree, images: int) -> Tree:
    """Return the comparison as it would be with so many training images, within the measured range.

    Scores, intervals and training FLOPs are interpolated between measured points, scores over the logarithm of the
    count. Differences take the two intervals for independent; since seeds and test images are shared this is on the
    safe side. They are corrected over all pairs (Holm 1979). What the curves do not hold is left out: scores of
    classes, and the validation scores, in whose place are those on test. Outside the range: the nearest end.
    """
    measured = sizes(comparison)
    if not measured or images >= measured[-1]:
        return comparison
    strategies = {name: _strategy(s, max(images, measured[0])) for name, s in comparison["strategies"].items()}
    return {**comparison, "strategies": strategies, "pairs": _pairs(strategies, comparison)}


def timings_at(timings: Tree, before: Tree, after: Tree) -> Tree:
    """Return the timings with the seconds of a training in proportion to its FLOPs."""
    scaled = {}
    for name, timing in timings.items():
        train = timing.get("train") or {}
        if name in after["strategies"] and train.get("seconds_per_training") is not None:
            ratio = _flops(after, name) / max(_flops(before, name), 1)
            timing = {**timing, "train": {**train, "seconds_per_training": train["seconds_per_training"] * ratio}}
        scaled[name] = timing
    return scaled


def _flops(comparison: Tree, name: str) -> float:
    return float(comparison["strategies"][name]["cost"]["train_flops"])


def _strategy(strategy: Tree, images: int) -> Tree:
    curve = _points(strategy)
    left, right = next(
        ((a, b) for a, b in pairwise(curve) if a["images"] <= images <= b["images"]), (curve[0], curve[0])
    )
    span = log(right["images"]) - log(left["images"])
    share = (log(images) - log(left["images"])) / span if span else 0.0
    linear = (images - left["images"]) / (right["images"] - left["images"]) if span else 0.0
    scores = {m: _estimate(left[m], right[m], share) for m in left if isinstance(left[m], dict) and "mean" in left[m]}
    flops = _between(left["train_flops"], right["train_flops"], linear)
    cost = {**strategy["cost"], "train_flops": flops}
    return {**strategy, "test": scores, "valid": scores, "cost": cost, "classes": {}}


def _estimate(left: Tree, right: Tree, share: float) -> Tree:
    ends = [_between(a, b, share) for a, b in zip(left["ci95"], right["ci95"], strict=True)]
    return {"mean": _between(left["mean"], right["mean"], share), "ci95": ends}


def _between(a: float, b: float, share: float) -> float:
    return a if not share else a + share * (b - a)


def _pairs(strategies: Tree, comparison: Tree) -> list[Tree]:
    metric, confidence = comparison["metric"], comparison["confidence"]
    pairs: list[Tree] = [{"a": a, "b": b} for a, b in combinations(sorted(strategies), 2)]
    for m in strategies[pairs[0]["a"]]["test"] if pairs else ():
        found = [_difference(strategies[p["a"]]["test"][m], strategies[p["b"]]["test"][m], m) for p in pairs]
        for pair, difference, p in zip(pairs, found, holm([d["p_value"] for d in found]), strict=True):
            pair[m] = {**difference, "p_adjusted": p}
    for pair in pairs:
        own = pair[metric]
        ahead = pair["a"] if own["p_a_beats_b"] > 0.5 else pair["b"]
        pair["better"] = ahead if own["p_adjusted"] <= 1 - confidence else None
    return pairs


def _difference(a: Tree, b: Tree, metric: str) -> Tree:
    difference = a["mean"] - b["mean"]
    reach = sqrt(sum((s["ci95"][1] - s["ci95"][0]) ** 2 for s in (a, b))) / 2
    # Without any spread a difference is certain, and none is a tie.
    z = difference / (reach / NORMAL.inv_cdf(0.975)) if reach else (difference > 0) * 40.0 - (difference < 0) * 40.0
    chance = NORMAL.cdf(-z if metric in LOWER_IS_BETTER else z)
    return {
        "difference": difference,
        "ci95": [difference - reach, difference + reach],
        "p_a_beats_b": chance,
        "p_value": 2 * NORMAL.cdf(-abs(z)),
    }
