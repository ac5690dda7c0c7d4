"""From predictions to a verdict. Pure functions: no files, no clock, randomness from a seed alone."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.metrics import LOWER_IS_BETTER, METRICS


@dataclass(frozen=True)
class Scored:
    """One strategy's predictions on a split, by seed."""

    labels: list[np.ndarray]  # per seed: int (N,)
    probabilities: list[np.ndarray]  # per seed: float (N, C)


@dataclass(frozen=True)
class Entry:
    """A strategy in the comparison."""

    recipe: dict[str, Any]
    valid: Scored  # the validation split of each seed
    test: Scored  # the same images for each seed
    valid_scores: list[dict[str, float]]  # per seed
    test_scores: list[dict[str, float]]
    cost: dict[str, Any]


def compare(entries: dict[str, Entry], metric: str, resamples: int, confidence: float, seed: int) -> dict[str, Any]:
    """Return strategies with intervals, differences of every pair, the winner on validation, and the verdict.

    Intervals come from a hierarchical bootstrap over seeds and images. Draws are shared between strategies, so
    that differences are paired.
    """
    names = sorted(entries)
    test = {name: bootstrap(entries[name].test, resamples, seed, same_images=True) for name in names}
    valid = {name: bootstrap(entries[name].valid, resamples, seed, same_images=False) for name in names}
    strategies: dict[str, Any] = {
        name: {
            "recipe": entries[name].recipe,
            "valid": _summary(entries[name].valid_scores, valid[name]),
            "test": _summary(entries[name].test_scores, test[name]),
            "cost": entries[name].cost,
            "confusion": confusion(entries[name].test),
        }
        for name in names
    }
    pairs = [_pair(a, b, strategies, test) for i, a in enumerate(names) for b in names[i + 1 :]]
    winner = choose({name: strategies[name]["valid"][metric]["mean"] for name in names}, metric)
    recommended = recommend(winner, pairs, {name: entries[name].cost["train_flops"] for name in names},
                            metric, confidence)  # fmt: skip
    parts = {"strategies": strategies, "pairs": pairs, "winner": winner, "recommended": recommended, "metric": metric}
    return {**parts, "verdict": sentence(parts, confidence)}


def bootstrap(scored: Scored, resamples: int, seed: int, same_images: bool) -> dict[str, np.ndarray]:
    """Return (resamples,) draws of each metric's mean over seeds: seeds and images are drawn with replacement.

    `same_images` says that all seeds scored the same images, which are then drawn once for all of them. The draws
    depend on the seed and the sizes alone, so they are the same for every strategy.
    """
    rng = np.random.default_rng(seed)
    count = len(scored.labels)
    drawn = rng.integers(0, count, (resamples, count))
    weights: np.ndarray = np.empty(0)
    by_seed = []
    for labels, probabilities in zip(scored.labels, scored.probabilities, strict=True):
        n = len(labels)
        if not (same_images and len(weights)):
            weights = rng.multinomial(n, np.full(n, 1 / n), resamples)
        by_seed.append(weighted_scores(labels, probabilities, weights))
    return {m: np.stack([s[m] for s in by_seed])[drawn, np.arange(resamples)[:, None]].mean(1) for m in METRICS}


def weighted_scores(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Return each metric, (B,), under image weights (B, N): what `metrics.score` gives for images so repeated."""
    classes = probabilities.shape[1]
    right = probabilities.argmax(1) == labels
    own = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    surprise = -np.log(np.clip(own / probabilities.sum(1), np.finfo(np.float64).eps, 1))
    total = weights.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        recalls = np.stack([weights[:, k] @ right[k] / weights[:, k].sum(1) for k in _members(labels, classes)], 1)
        areas = [_weighted_auc(labels == c, probabilities[:, c], weights) for c in range(classes)]
    # The two curves of a binary task are each other's mirror image.
    auc = areas[1] if classes == 2 else np.mean(areas, axis=0)
    return {
        "accuracy": weights @ right / total,
        "balanced_accuracy": np.nanmean(recalls, 1),
        "roc_auc": np.where(np.isnan(auc), 0.5, auc),
        "log_loss": weights @ surprise / total,
    }


def _members(labels: np.ndarray, classes: int) -> list[np.ndarray]:
    return [found for c in range(classes) if len(found := np.flatnonzero(labels == c))]


def _weighted_auc(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the area under the ROC curve (B,): the chance that a positive scores higher, ties counting half."""
    order = np.argsort(scores, kind="stable")
    ranked, is_positive = scores[order], positive[order]
    negatives = weights[:, order] * ~is_positive
    positives = weights[:, order] * is_positive
    below = np.concatenate([np.zeros((len(weights), 1)), np.cumsum(negatives, 1)], 1)
    first = np.searchsorted(ranked, ranked, side="left")
    last = np.searchsorted(ranked, ranked, side="right")
    wins = (positives * (below[:, first] + below[:, last]) / 2).sum(1)
    return wins / (positives.sum(1) * negatives.sum(1))


def confusion(scored: Scored) -> list[list[int]]:
    """Return counts by true class (rows) and predicted class (columns), summed over seeds."""
    classes = scored.probabilities[0].shape[1]
    table = np.zeros((classes, classes), dtype=int)
    for labels, probabilities in zip(scored.labels, scored.probabilities, strict=True):
        np.add.at(table, (labels, probabilities.argmax(1)), 1)
    return table.tolist()


def gain_over_majority(compared: dict[str, Any], name: str) -> float:
    """Return a strategy's mean validation accuracy above that of always naming the commonest class."""
    counts = compared["dataset"]["counts"]["valid"].values()
    return float(compared["strategies"][name]["valid"]["accuracy"]["mean"] - max(counts) / sum(counts))


def choose(means: dict[str, float], metric: str) -> str:
    """Return the name with the best mean; the first by name of equals."""
    sign = 1 if metric in LOWER_IS_BETTER else -1
    return min(sorted(means), key=lambda name: sign * means[name])


def recommend(winner: str, pairs: list[dict[str, Any]], flops: dict[str, int], metric: str, confidence: float) -> str:
    """Return the cheapest to train of those that no other beats at this confidence; the winner where all are beaten."""
    beaten = {b for a in flops for b in flops if a != b and chance(pairs, a, b, metric) >= confidence}
    return min(sorted(flops.keys() - beaten), key=lambda name: flops[name], default=winner)


def chance(pairs: list[dict[str, Any]], a: str, b: str, metric: str) -> float:
    """Return P(a beats b) on the test split, whichever way round the pair is listed."""
    for pair in pairs:
        if (pair["a"], pair["b"]) == (a, b):
            return float(pair[metric]["p_a_beats_b"])
        if (pair["a"], pair["b"]) == (b, a):
            return 1 - float(pair[metric]["p_a_beats_b"])
    raise KeyError((a, b))


def _summary(scores: list[dict[str, float]], draws: dict[str, np.ndarray]) -> dict[str, Any]:
    per_seed = {m: [s[m] for s in scores] for m in METRICS}
    return {
        m: {"mean": float(np.mean(per_seed[m])), "ci95": interval(draws[m]), "per_seed": per_seed[m]} for m in METRICS
    }


def _pair(a: str, b: str, strategies: dict[str, Any], draws: dict[str, dict[str, np.ndarray]]) -> dict[str, Any]:
    pair: dict[str, Any] = {"a": a, "b": b}
    for m in METRICS:
        difference = draws[a][m] - draws[b][m]
        gain = -difference if m in LOWER_IS_BETTER else difference
        pair[m] = {
            "difference": strategies[a]["test"][m]["mean"] - strategies[b]["test"][m]["mean"],
            "ci95": interval(difference),
            "p_a_beats_b": float(np.mean(gain > 0) + np.mean(gain == 0) / 2),
        }
    return pair


def interval(draws: np.ndarray) -> list[float]:
    """Return the central 95 % of the draws."""
    return [float(q) for q in np.quantile(draws, [0.025, 0.975])]


def _shown(value: float, metric: str) -> str:
    return f"{100 * value:.1f} %" if metric.endswith("accuracy") else f"{value:.3f}"


def sentence(parts: dict[str, Any], confidence: float) -> str:
    """Say what to use, by how much it leads, how sure that is, and what it costs."""
    winner, recommended, metric = parts["winner"], parts["recommended"], parts["metric"]
    strategies = parts["strategies"]
    best = strategies[winner]["test"][metric]
    mean, low, high = (_shown(value, metric) for value in (best["mean"], *best["ci95"]))
    head = f"{winner} is best on validation; on test its {metric.replace('_', ' ')} is {mean} (95 %: {low} to {high})"
    others = {n: chance(parts["pairs"], winner, n, metric) for n in strategies if n != winner}
    if not others:
        return f"{head}. There is nothing to compare it with."
    beaten = [n for n in sorted(others) if others[n] >= confidence]
    better = [n for n in sorted(others) if others[n] <= 1 - confidence]
    even = [n for n in sorted(others) if 1 - confidence < others[n] < confidence]
    leads = [f"it beats {n} (P = {others[n]:.2f})" for n in beaten]
    doubts = [f"it cannot be told from {n} (P = {others[n]:.2f})" for n in even]
    losses = [f"{n} beats it there (P = {1 - others[n]:.2f})" for n in better]
    cheap = min(sorted(strategies), key=lambda n: strategies[n]["cost"]["train_flops"])
    ratio = strategies[recommended]["cost"]["train_flops"] / strategies[cheap]["cost"]["train_flops"]
    price = "the cheapest to train" if recommended == cheap else f"{ratio:.1f} times the training FLOPs of {cheap}"
    advice = f"Use {recommended}"
    if better:
        advice = f"Validation and test disagree; use {recommended}, which nothing beats on test"
    elif recommended != winner:
        advice = f"Use the cheapest of these, {recommended}"
    return f"{head}; {', '.join(leads + doubts + losses)}. {advice}: {price}."
