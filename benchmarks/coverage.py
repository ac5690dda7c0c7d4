"""How often the 95 % intervals hold the expected score, where it is known."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from benchmarks.simulation import World, with_share
from pipeline.config.metric_names import METRICS
from pipeline.statistics.intervals import difference_interval, estimate, score_interval
from pipeline.statistics.jackknife import InfluenceTable, influence_tables_of

WORLD = World(levels=(1.1, 1.1), shared=0.6, own=0.25, positives=0.3)  # 86 % right; two strategies that are equal
SEEDS, IMAGES, SHARES = (2, 3, 5), (100, 300, 650), (0.05, 0.4, 0.75)
AT_ONCE = 250
CONFIDENCE, LEAST, MOST = 0.95, 0.93, 0.97


def run(count: int, seed: int) -> dict[str, Any]:
    """Return the coverage of every cell of the grid, simulated so many times, their mean and the worst."""
    rng = np.random.default_rng(seed)
    cells = [
        {"seeds": s, "images": n, "seeds_share": share, "metric": metric, "of": of, "coverage": held}
        for s, n, share in product(SEEDS, IMAGES, SHARES)
        for (metric, of), held in cell(with_share(WORLD, share, s, n), rng, count, s, n).items()
    ]
    held = np.array([each["coverage"] for each in cells])
    worst = max(cells, key=lambda each: abs(each["coverage"] - CONFIDENCE))
    return {
        "coverage_95": float(held.mean()),
        "lowest": float(held.min()),
        "highest": float(held.max()),
        "within_93_to_97": float(np.mean((held >= LEAST) & (held <= MOST))),
        "at_least_93": float(np.mean(held >= LEAST)),
        "worst": worst,
        "by": {
            name: {str(value): float(np.mean([c["coverage"] for c in cells if c[name] == value])) for value in values}
            for name, values in {"seeds": SEEDS, "images": IMAGES, "seeds_share": SHARES, "metric": METRICS,
                                 "of": ("score", "difference")}.items()
        },
        "cells": cells,
        "simulations_each": count,
        "percentiles": percentiles(rng, count),
    }  # fmt: skip


def cell(world: World, rng: np.random.Generator, count: int, seeds: int, images: int) -> dict[tuple[str, str], float]:
    """Return the coverage of every metric's scores and differences."""
    truth = world.truth()
    held: dict[tuple[str, str], list[float]] = {(m, of): [] for m in METRICS for of in ("score", "difference")}
    for found in _tables(world, rng, count, seeds, images):
        for m in METRICS:
            a, b = (_of(found[m], strategy) for strategy in (0, 1))
            low, high = score_interval(estimate(a), m, CONFIDENCE)
            held[m, "score"].append(float(np.mean((low <= truth[m][0]) & (truth[m][0] <= high))))
            low, high = difference_interval(estimate(a - b), CONFIDENCE)
            held[m, "difference"].append(float(np.mean((low <= 0) & (high >= 0))))
    return {key: float(np.mean(values)) for key, values in held.items()}


def _tables(
    world: World, rng: np.random.Generator, count: int, seeds: int, images: int
) -> Iterator[dict[str, InfluenceTable]]:
    labels = world.labels(images)
    for _ in range(count // AT_ONCE):
        yield influence_tables_of(labels, world.probabilities(world.margins(rng, AT_ONCE, seeds, images)))


def _of(table: InfluenceTable, strategy: int) -> InfluenceTable:
    return InfluenceTable(table.scores[:, strategy], table.influence[:, strategy], table.images)


def percentiles(rng: np.random.Generator, count: int, images: int = 300, resamples: int = 400) -> list[dict[str, Any]]:
    """Return, for accuracy, the coverage of the plain way: percentiles of a bootstrap over seeds and images."""
    cells = []
    weights = rng.multinomial(images, np.full(images, 1 / images), resamples) / images
    for seeds, share in product(SEEDS, SHARES):
        world = with_share(WORLD, share, seeds, images)
        drawn = rng.multinomial(seeds, np.full(seeds, 1 / seeds), resamples) / seeds
        right = world.margins(rng, min(count, 1000), seeds, images) > 0  # (count, 2, S, N)
        held = {"score": 0, "difference": 0}
        for each in right.astype(np.float64):
            a, b = (np.einsum("rs,rs->r", drawn, weights @ one.T) for one in each)
            for of, values, truth in (("score", a, world.truth()["accuracy"][0]), ("difference", a - b, 0.0)):
                low, high = np.quantile(values, [0.025, 0.975])
                held[of] += low <= truth <= high
        cells += [{"seeds": seeds, "images": images, "seeds_share": share, "metric": "accuracy", "of": of,
                   "coverage": hits / len(right)} for of, hits in held.items()]  # fmt: skip
    return cells
