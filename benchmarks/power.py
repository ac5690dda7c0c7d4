"""How often a winner is declared: where there is none, and where there is one."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from benchmarks.simulation import World, fitted, predictions, with_share
from pipeline.config.metric_names import METRICS
from pipeline.statistics.evidence import pooled
from pipeline.statistics.intervals import estimate, holm
from pipeline.statistics.jackknife import InfluenceTable, mean_influence_table
from pipeline.statistics.scores_and_differences import compare_pairs

IMAGES, SEEDS, CONFIDENCE = 650, 5, 0.95
UNSEEN = 1575  # validation images of the demo that no search looked at, each predicted by one seed
GAPS = (0.01, 0.015, 0.02, 0.025, 0.03, 0.035, 0.04)
WANTED = 0.8
AT_ONCE = 50


def from_predictions(folder: Path) -> World:
    """Return a world whose answers agree as the real ones of results/train/*.csv do, on their test images."""
    right, positives = [], 0.5
    for file in sorted(folder.glob("*.csv")):
        table = pd.read_csv(file)
        table = table[(table["split"] == "test") & (table["fraction"] == 1)]
        columns = [name for name in table if str(name).startswith("p_")]
        by_seed = [part for _, part in table.groupby("seed")]
        right.append(np.stack([p[columns].to_numpy().argmax(1) == p["label"].to_numpy() for p in by_seed]))
        positives = float((by_seed[0]["label"] == 1).mean())
    return fitted(right, positives)


def alike(
    world: World, level: float, count: int, seed: int, seeds: int = SEEDS, images: int = IMAGES
) -> dict[str, Any]:
    """Return how often any two of three strategies that are the same are said to differ significantly."""
    same = World((level,) * 3, world.shared, world.own, world.seed, world.sharpness, world.positives)
    rng, found = np.random.default_rng(seed), dict.fromkeys(METRICS, 0)
    for _ in range(count):
        made = same.probabilities(same.margins(rng, 1, seeds, images)[0])
        strategies = {str(i): predictions(same.labels(images), each) for i, each in enumerate(made)}
        pairs = compare_pairs(strategies, "accuracy", 1, CONFIDENCE, 0)
        for metric in METRICS:
            found[metric] += any(pair.differences[metric].p_adjusted <= 1 - CONFIDENCE for pair in pairs)
    return {"rate": found["accuracy"] / count, "by_metric": {m: n / count for m, n in found.items()}, "times": count}


def aa(world: World, count: int, seed: int) -> dict[str, Any]:
    """Return the rate of false winners with the demo's correlations, and where seeds differ much."""
    level = world.levels[0]
    rough = with_share(World((level,), world.shared, world.own, positives=world.positives), 0.5, SEEDS, IMAGES)
    found = {
        "as in the demo": alike(world, level, count, seed),
        "seeds make half the variance": alike(rough, level, count, seed + 1),
        "as in the demo, 3 seeds": alike(world, level, count, seed + 2, seeds=3),
    }
    return {"aa_false_winner_rate": max(each["rate"] for each in found.values()), "worlds": found}


def power(world: World, count: int, seed: int) -> dict[str, Any]:
    """Return how often a true difference in accuracy is significant: alone, and as one of three pairs.

    As in a run of the demo, that is on test and on the validation images that no search looked at. The third strategy
    is as far below as the demo's last is below its first.
    """
    rng = np.random.default_rng(seed)

    def found(gap: float, seeds: int = SEEDS, images: int = IMAGES, unseen: int = 0) -> dict[str, float]:
        return _rates(world, gap, rng, count, seeds, images, unseen)

    by_gap = [{"difference": gap, **found(gap, unseen=UNSEEN)} for gap in GAPS]
    return {
        "power_2pp": next(row["of_three"] for row in by_gap if row["difference"] == 0.02),
        "power_2pp_alone": next(row["alone"] for row in by_gap if row["difference"] == 0.02),
        "found_with_80_percent": _needed([row["of_three"] for row in by_gap]),
        "found_with_80_percent_alone": _needed([row["alone"] for row in by_gap]),
        "by_difference": by_gap,
        "by_images": [{"images": n, **found(0.02, images=n)} for n in (325, 650, 1300, 2600)],
        "by_seeds": [{"seeds": s, **found(0.02, seeds=s)} for s in (1, 3, 5, 10)],
        "world": {"accuracies": [float(each) for each in world.truth()["accuracy"]], "shared": world.shared,
                  "own": world.own, "rest": 1 - world.shared - world.own, "seed": world.seed},
        "times": count, "images": IMAGES, "unseen": UNSEEN, "seeds": SEEDS,
    }  # fmt: skip


def _rates(
    world: World, gap: float, rng: np.random.Generator, count: int, seeds: int, images: int, unseen: int = 0
) -> dict[str, float]:
    """Return how often the first is significantly better than the second, and the standard error of the difference."""
    first, last = world.truth()["accuracy"][[0, -1]]
    levels = tuple(float(norm.ppf(p) * np.sqrt(1 + world.seed)) for p in (first, first - gap, min(last, first - gap)))
    three = World(levels, world.shared, world.own, world.seed, positives=world.positives)
    alone, of_three, errors = [], [], []
    for _ in range(-(-count // AT_ONCE)):
        table = _table(three.margins(rng, AT_ONCE, seeds, images + unseen) > 0, images)
        one, two, low = (InfluenceTable(table.scores[:, k], table.influence[:, k], table.images) for k in range(3))
        pair, *others = (estimate(difference) for difference in (one - two, one - low, two - low))
        values = np.stack([pair.p_value(), *(other.p_value() for other in others)], 1)
        adjusted = np.array([holm(row.tolist())[0] for row in values])
        alone.append((values[:, 0] <= 1 - CONFIDENCE) & (pair.mean > 0))
        of_three.append((adjusted <= 1 - CONFIDENCE) & (pair.mean > 0))
        errors.append(pair.error)
    return {"alone": float(np.mean(alone)), "of_three": float(np.mean(of_three)),
            "standard_error": float(np.mean(errors))}  # fmt: skip


def _table(right: np.ndarray, tested: int) -> InfluenceTable:
    """Return the table of the first images, which all seeds predict, and of the others, one fold for each seed."""
    seeds, images = right.shape[-2:]
    place = np.arange(images)
    test = mean_influence_table(right[..., :tested], np.ones(tested, dtype=bool))
    if images == tested:
        return test
    folds = [mean_influence_table(right[..., s, tested:], (place[tested:] - tested) % seeds == s) for s in range(seeds)]
    scores, influence = (np.stack([getattr(fold, part) for fold in folds], axis)
                         for part, axis in (("scores", -1), ("influence", -2)))  # fmt: skip
    return pooled(test, InfluenceTable(scores, influence, images - tested), 1 - tested / images)


def _needed(powers: list[float]) -> float | None:
    """Return the difference that is significant in four of five cases, between two that were simulated."""
    for i in range(1, len(GAPS)):
        if powers[i] >= WANTED:
            steep = (WANTED - powers[i - 1]) / (powers[i] - powers[i - 1])
            return GAPS[i - 1] + steep * (GAPS[i] - GAPS[i - 1])
    return None
