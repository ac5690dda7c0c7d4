"""From predictions to intervals and differences. Pure functions: no files, no clock, randomness from a seed alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from pipeline.config.metric_names import LOWER_IS_BETTER, METRICS
from pipeline.statistics import intervals
from pipeline.statistics.jackknife import Scored, Table, recall_tables, tables

WHOLE = 1.0  # the fraction that is all the training data


@dataclass(frozen=True)
class Entry:
    """A strategy in the comparison."""

    recipe: dict[str, Any]
    valid: Scored  # the validation split of each seed
    test: Scored  # the same images for each seed
    valid_scores: list[dict[str, float]]  # per seed
    test_scores: list[dict[str, float]]
    cost: dict[str, Any]
    curve: dict[float, dict[str, Table]] = field(default_factory=dict)  # on the same test images, by fraction below 1
    sizes: dict[float, int] = field(default_factory=dict)  # training images, by fraction; 1 among them
    flops: dict[float, int] = field(default_factory=dict)  # of one training, by fraction

    @cached_property
    def tested(self) -> dict[str, Table]:
        """Return the table of every metric on test, of trainings on all images."""
        return tables(self.test)


def compare(
    entries: dict[str, Entry], metric: str, resamples: int, confidence: float, seed: int, classes: Sequence[str] = ()
) -> dict[str, Any]:
    """Return strategies with intervals, differences of every pair, and the winner on validation.

    Differences are paired over seeds and test images. No result depends on the order of strategies; none but
    `p_run_beats`, which is drawn, on the order of images or seeds.
    """
    names = sorted(entries)
    test = {name: entries[name].tested for name in names}
    pairs = _pairs({name: entries[name].test_scores for name in names}, test, resamples, seed)
    for pair in pairs:
        pair["better"] = _better(pair, metric, confidence)
    strategies = {name: _strategy(entries[name], test[name], classes) for name in names}
    winner = choose({name: strategies[name]["valid"][metric]["mean"] for name in names}, metric)
    return {
        "metric": metric,
        "confidence": confidence,
        "seeds": len(entries[winner].test.labels),
        "fractions": [row["fraction"] for row in strategies[winner]["curve"]],
        "strategies": strategies,
        "pairs": pairs,
        "winner": winner,
    }


def curve_draws(
    entries: dict[str, Entry], metric: str, resamples: int, seed: int
) -> dict[str, dict[float, np.ndarray]]:
    """Return (resamples,) draws of a test metric by strategy and fraction, 1 among them, ascending.

    Images drawn and seeds' weights are shared by all of them, so that draw i of one belongs to draw i of another.
    """
    kept = {
        (name, fraction): found[metric]
        for name in sorted(entries)
        for fraction, found in sorted({**entries[name].curve, WHOLE: entries[name].tested}.items())
    }
    made: dict[str, dict[float, np.ndarray]] = {name: {} for name in sorted(entries)}
    for (name, fraction), drawn in intervals.draws(kept, resamples, seed).items():
        made[name][fraction] = drawn
    return made


def _strategy(entry: Entry, test: dict[str, Table], classes: Sequence[str]) -> dict[str, Any]:
    table = confusion(entry.test)
    scores = _summaries(test, entry.test_scores)
    return {
        "recipe": entry.recipe,
        "valid": _summaries(tables(entry.valid, shared=False), entry.valid_scores),
        "test": scores,
        "cost": entry.cost,
        "confusion": table,
        "classes": dict(zip(classes or map(str, range(len(table))), _classes(entry.test, np.array(table)))),
        "curve": _curve(entry, scores),
    }


def _summaries(found: dict[str, Table], scores: list[dict[str, float]]) -> dict[str, Any]:
    return {m: _summary(found[m], m, [s[m] for s in scores]) for m in METRICS}


def _summary(table: Table, metric: str, per_seed: list[float]) -> dict[str, Any]:
    ends = intervals.score_interval(intervals.estimate(table), metric)
    return {"mean": float(np.mean(per_seed)), "ci95": [float(end) for end in ends], "per_seed": per_seed}


def _classes(scored: Scored, table: np.ndarray) -> list[dict[str, Any]]:
    """Return each class's recall with its interval, precision and F1; None where the class has no images."""
    rows = []
    for c, recalls in enumerate(recall_tables(scored)):
        right, named, own = (int(n) for n in (table[c, c], table[:, c].sum(), table[c].sum()))
        found = None if recalls is None else _summary(recalls, "recall", recalls.scores.tolist())
        rows.append({
            "images": own // len(scored.labels),
            "recall": {"mean": found and found["mean"], "ci95": found and found["ci95"]},
            "precision": right / named if named else 0.0,
            "f1": 2 * right / (named + own) if named + own else 0.0,
        })  # fmt: skip
    return rows


def _curve(entry: Entry, whole: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each fraction of the training data, ascending: sizes, cost and test scores."""
    rows = []
    for fraction, found in sorted(entry.curve.items()):
        summaries = {m: _summary(found[m], m, found[m].scores.tolist()) for m in METRICS}
        rows.append({"fraction": fraction, **_size(entry, fraction), **summaries})
    return [*rows, {"fraction": WHOLE, **_size(entry, WHOLE), **whole}]


def _size(entry: Entry, fraction: float) -> dict[str, int | None]:
    flops = {WHOLE: entry.cost.get("train_flops"), **entry.flops}
    return {"images": entry.sizes.get(fraction), "train_flops": flops.get(fraction)}


def _pairs(
    scores: dict[str, list[dict[str, float]]], test: dict[str, dict[str, Table]], resamples: int, seed: int
) -> list[dict[str, Any]]:
    """Return the difference of every pair in every metric, p-values adjusted for the number of pairs."""
    pairs: list[dict[str, Any]] = [{"a": a, "b": b} for a, b in combinations(sorted(scores), 2)]
    if not pairs:
        return []
    runs = intervals.runs({(n, m): test[n][m] for n in sorted(scores) for m in METRICS}, resamples, seed)
    for m in METRICS:
        means = {name: float(np.mean([s[m] for s in each])) for name, each in scores.items()}
        for pair in pairs:
            a, b = pair["a"], pair["b"]
            pair[m] = {
                "difference": means[a] - means[b],
                **_difference(test[a][m] - test[b][m], m),
                "p_run_beats": intervals.run_chance(*(runs[name, m] for name in _worse_last(a, b, m))),
            }
        for pair, adjusted in zip(pairs, intervals.holm([pair[m]["p_value"] for pair in pairs]), strict=True):
            pair[m]["p_adjusted"] = adjusted
    return pairs


def _worse_last(a: str, b: str, metric: str) -> tuple[str, str]:
    """Return the pair so that the first beats the second where its number is higher."""
    return (b, a) if metric in LOWER_IS_BETTER else (a, b)


def _difference(table: Table, metric: str) -> dict[str, Any]:
    estimated = intervals.estimate(table)
    above = float(estimated.chance_above())
    return {
        "ci95": [float(end) for end in intervals.difference_interval(estimated)],
        "p_a_beats_b": 1 - above if metric in LOWER_IS_BETTER else above,
        "p_value": float(estimated.p_value()),
    }


def confusion(scored: Scored) -> list[list[int]]:
    """Return counts by true class (rows) and predicted class (columns), summed over seeds."""
    classes = scored.probabilities[0].shape[1]
    table = np.zeros((classes, classes), dtype=int)
    for labels, probabilities in zip(scored.labels, scored.probabilities, strict=True):
        np.add.at(table, (labels, probabilities.argmax(1)), 1)
    return table.tolist()


def choose(means: dict[str, float], metric: str) -> str:
    """Return the name with the best mean; the first by name of equals."""
    sign = 1 if metric in LOWER_IS_BETTER else -1
    return min(sorted(means), key=lambda name: sign * means[name])


def _better(pair: dict[str, Any], metric: str, confidence: float) -> str | None:
    """Return the one of a pair that is told to be better on test, after correction for the number of pairs."""
    found = pair[metric]
    if found["p_adjusted"] > 1 - confidence:
        return None
    return str(pair["a"] if found["p_a_beats_b"] > 0.5 else pair["b"])
