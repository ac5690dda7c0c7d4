"""Measure what the verdict's rule gives away, beside other rules, and what it says of two that are the same.

`uv run python -m benchmarks.verdict` simulates strategies whose true scores are known, two minutes of one core, and
writes benchmarks/results/verdict.json and verdict.md. That of two equal strategies errs as the predictions in
results/train do (`uv run dvc repro`).
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm

from benchmarks.machine import machine, sentence

RESULTS = Path(__file__).parent / "results"
WORTH, ERROR, CONFIDENCE = 0.005, 0.12, 0.95
ARMS, NOISE, SPREAD = (2, 3, 5, 8, 12, 20, 30), (0.005, 0.01, 0.02), (0.0, 0.005, 0.015, 0.03)
COST_PAYS = 0.5  # correlation of the logarithm of a strategy's cost with its true score
REFERENCE = {"noise": 0.01, "spread": 0.015}
IMAGES, SEEDS = (656, 2600), 5
BINS = np.linspace(0, 1, 11)
RULES = {
    "this": "cheapest that is expected to lose no more than 0.5 points",
    "significance": "cheapest that no other significantly outperforms (Holm)",
    "one error": "cheapest within one standard error of the best on test",
    "best on test": "best on test",
    "best on validation": "best on validation, as noisy as test",
    "cheapest": "always the cheapest",
    "dearest": "always the dearest",
}


def picks(scores: np.ndarray, valid: np.ndarray, costs: np.ndarray, noise: float) -> tuple[dict[str, int], Any]:
    """Return which of K strategies each rule takes, from their scores and costs (K,), and what is believed of them."""
    from pipeline.statistics.intervals import holm
    from pipeline.statistics.posterior import Estimates, posterior
    from pipeline.verdict.rule import cheapest_within

    count = len(scores)
    names = tuple(f"s{i:02}" for i in range(count))
    nothing = np.zeros((count, count))
    found = posterior(Estimates(names, scores, np.eye(count) * noise**2, nothing), costs.tolist(), ERROR)
    losses = {name: found.loss(name) for name, kept in zip(names, found.kept) if kept}
    pairs = list(combinations(range(count), 2))
    adjusted = holm([2 * float(norm.sf(abs(scores[i] - scores[j]) / (noise * 2**0.5))) for i, j in pairs])
    beaten = {i if scores[i] < scores[j] else j for (i, j), p in zip(pairs, adjusted) if p <= 1 - CONFIDENCE}
    near = np.flatnonzero(scores >= scores.max() - noise)
    return {
        "this": names.index(cheapest_within(losses, dict(zip(names, costs)), WORTH)),
        "significance": min((i for i in range(count) if i not in beaten), key=lambda i: costs[i]),
        "one error": min(near, key=lambda i: costs[i]),
        "best on test": int(scores.argmax()),
        "best on validation": int(valid.argmax()),
        "cheapest": int(costs.argmin()),
        "dearest": int(costs.argmax()),
    }, found


def cell(arms: int, noise: float, spread: float, count: int, seed: int) -> dict[str, Any]:
    """Simulate choices among strategies with one spread of true scores, measured with one standard error."""
    rng = np.random.default_rng([seed, arms, round(1e4 * noise), round(1e4 * spread)])
    regrets: dict[str, list[float]] = {name: [] for name in RULES}
    spent: dict[str, list[float]] = {name: [] for name in RULES}
    held, believed = [], []
    for _ in range(count):
        z = rng.normal(size=arms)
        truth, costs = spread * z, np.exp(COST_PAYS * z + (1 - COST_PAYS**2) ** 0.5 * rng.normal(size=arms))
        scores, valid = (truth + noise * rng.normal(size=arms) for _ in range(2))
        taken, found = picks(0.8 + scores, valid, costs, noise)
        for name, i in taken.items():
            regrets[name].append(100 * (truth.max() - truth[i]))
            spent[name].append(costs[i] / costs.max())
        own = found.names[taken["this"]]
        held.append(truth.max() - truth[taken["this"]] <= found.loss_at_most(own, CONFIDENCE) + 1e-12)
        i, j = (int(k) for k in rng.choice(arms, 2, replace=False))
        if spread and found.kept[[i, j]].all():
            believed.append((found.p_above(found.names[i], found.names[j]), bool(truth[i] > truth[j])))
    rules = {
        name: {"mean_regret_points": float(np.mean(lost)), "p95_regret_points": float(np.quantile(lost, 0.95)),
               "more_than_two_points": float(np.mean(np.array(lost) > 2)), "cost_share": float(np.mean(spent[name]))}
        for name, lost in regrets.items()
    }  # fmt: skip
    return {"arms": arms, "noise": noise, "spread": spread, "rules": rules, "coverage": float(np.mean(held)),
            "believed": believed}  # fmt: skip


def alike(folder: Path, count: int, seed: int) -> list[dict[str, Any]]:
    """Return what is said of two strategies with the same expected score: two recipes, or one recipe twice."""
    from benchmarks.power import from_predictions
    from benchmarks.simulation import World
    from pipeline.statistics.jackknife import mean_influence_table
    from pipeline.statistics.joint_scores import covariances
    from pipeline.statistics.posterior import Estimates, posterior
    from pipeline.verdict.rule import in_a_word

    real, found = from_predictions(folder), []
    worlds = {"two recipes": (real.shared, real.own), "one recipe twice": (real.shared + real.own, 0.0)}
    for (name, (shared, own)), images in product(worlds.items(), IMAGES):
        world, rng = World(real.levels[:1] * 2, shared, own, real.seed), np.random.default_rng([seed, images])
        words, errors = [], []
        for _ in range(count):
            right = world.margins(rng, 1, SEEDS, images)[0] > 0
            tables = [mean_influence_table(each, np.ones(images, dtype=bool)) for each in right]
            measured = Estimates(("a", "b"), np.array([t.scores.mean() for t in tables]), *covariances(tables))
            believed = posterior(measured, [1.0, 2.0], 1 - float(measured.means.max()), ["a", "b"])
            words.append(in_a_word(believed, "b", "a", WORTH)[0])
            errors.append(float(measured.variance[0, 1]) ** 0.5)
        rates = {word: words.count(word) / count for word in ("equivalent", "undecided")}
        found.append({"world": name, "images": images, "different": 1 - sum(rates.values()), **rates,
                      "standard_error_points": 100 * float(np.mean(errors)), "times": count})  # fmt: skip
    return found


def reliability(believed: Sequence[tuple[float, bool]]) -> list[dict[str, float]]:
    """Return by bins of P(better): its mean, how often it was so, and how many."""
    said, true = (np.array(part, dtype=float) for part in zip(*believed))
    place = np.clip(np.digitize(said, BINS) - 1, 0, len(BINS) - 2)
    return [{"said": float(said[place == k].mean()), "true": float(true[place == k].mean()),
             "count": int((place == k).sum())} for k in np.unique(place)]  # fmt: skip


def summarise(cells: Sequence[Mapping[str, Any]], pairs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the figures of verdict.json: means over all cells, each counting alike."""
    bins = reliability([each for one in cells for each in one["believed"]])
    total = sum(row["count"] for row in bins)
    rules = {
        name: {key: float(np.mean([one["rules"][name][key] for one in cells])) for key in cells[0]["rules"][name]}
        for name in RULES
    }
    at = {(row["world"], row["images"]): row for row in pairs}
    return {
        "mean_regret_points": rules["this"]["mean_regret_points"],
        "p95_regret_points": rules["this"]["p95_regret_points"],
        "cost_share": rules["this"]["cost_share"],
        "coverage": float(np.mean([one["coverage"] for one in cells])),
        "coverage_of_true_differences": float(np.mean([one["coverage"] for one in cells if one["spread"]])),
        "least_coverage": min(one["coverage"] for one in cells),
        "reliability_gap": sum(row["count"] * abs(row["said"] - row["true"]) for row in bins) / total,
        **({"aa_difference_rate": max(row["different"] for row in pairs),
            "aa_equivalent_rate_656": at["one recipe twice", IMAGES[0]]["equivalent"],
            "aa_equivalent_rate_2600": at["one recipe twice", IMAGES[1]]["equivalent"]} if pairs else {}),
        "rules": rules,
        "reliability": bins,
        "same": list(pairs),
        "cells": [{key: value for key, value in one.items() if key != "believed"} for one in cells],
    }  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate, write the results, and print the table."""
    from pipeline.common.files import write_json, write_text
    from pipeline.common.progress import one_thread_pool

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=100, help="simulations of each cell (default: %(default)s)")
    parser.add_argument("--predictions", type=Path, default=Path("results/train"), help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results (default: %(default)s)")
    args = parser.parse_args(argv)
    one_thread_pool(1)
    cells = [cell(*each, args.count, 0) for each in product(ARMS, NOISE, SPREAD)]
    found = summarise(cells, alike(args.predictions, args.count, 1) if args.predictions.is_dir() else [])
    found |= {"times": args.count, "machine": machine("numpy", "scipy")}
    write_json(args.out / "verdict.json", found)
    write_text(args.out / "verdict.md", table(found))
    print(table(found))
    return 0


def table(found: Mapping[str, Any]) -> str:
    """Return verdict.md."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    here = FileSystemLoader(Path(__file__).parent)
    template = Environment(loader=here, undefined=StrictUndefined, trim_blocks=True).get_template("verdict.md.j2")
    shown = [one for one in found["cells"] if all(one[key] == value for key, value in REFERENCE.items())]
    return template.render(found=found, rules=RULES, shown=shown, machine=sentence(found["machine"])) + "\n"


if __name__ == "__main__":
    sys.exit(main())
