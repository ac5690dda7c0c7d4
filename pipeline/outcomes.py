"""From the outcomes of one recipe under several seeds to what the train stage writes, and back."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.comparison import Entry, Scored
from pipeline.data import ImageSet
from pipeline.errors import UserError
from pipeline.metrics import METRICS, score
from pipeline.records import Outcome

SPLITS = ("valid", "test")


def summarise(outcomes: dict[int, Outcome], dev: ImageSet, test: ImageSet) -> dict[str, dict[int, dict[str, float]]]:
    """Return scores by split and seed; raise UserError where a training diverged."""
    for seed, outcome in outcomes.items():
        if outcome.failed:
            raise UserError(f"seed {seed}: {outcome.failed}. Lower the learning_rate in this strategy's space.")
    return {
        split: {seed: score(labels, probabilities) for seed, (_, labels, probabilities) in parts.items()}
        for split, parts in _parts(outcomes, dev, test).items()
    }


def _parts(outcomes: dict[int, Outcome], dev: ImageSet, test: ImageSet) -> dict[str, Any]:
    """Return (ids, labels, probabilities) by split and seed."""
    found: dict[str, Any] = {split: {} for split in SPLITS}
    for seed, outcome in outcomes.items():
        for split, images, scored in (("valid", dev, outcome.valid), ("test", test, outcome.test)):
            rows = np.array(scored["rows"])
            found[split][seed] = images.ids[rows], images.labels[rows], np.array(scored["probabilities"])
    return found


def predictions(outcomes: dict[int, Outcome], dev: ImageSet, test: ImageSet) -> pd.DataFrame:
    """Return a row per split, seed and image: id, label (an index), and the probability of each class."""
    tables = []
    for split, parts in _parts(outcomes, dev, test).items():
        for seed, (ids, labels, probabilities) in parts.items():
            table = pd.DataFrame(probabilities, columns=[f"p_{name}" for name in dev.classes])
            for position, (name, values) in enumerate(
                {"split": split, "seed": seed, "id": ids, "label": labels}.items()
            ):
                table.insert(position, name, values)
            tables.append(table)
    return pd.concat(tables, ignore_index=True)


def best_seed(scores: dict[str, dict[int, dict[str, float]]]) -> int:
    """Return the seed whose network has the lowest validation log loss: the one to register."""
    return min(scores["valid"], key=lambda seed: (scores["valid"][seed]["log_loss"], seed))


def means(scores: dict[str, dict[int, dict[str, float]]]) -> dict[str, float]:
    """Return the mean over seeds of every score, named as in MLflow."""
    return {
        f"{split}_{metric}": float(np.mean([s[metric] for s in by_seed.values()]))
        for split, by_seed in scores.items()
        for metric in METRICS
    }


def document(
    scores: dict[str, dict[int, dict[str, float]]], outcomes: dict[int, Outcome], tuned: dict[str, Any], best: int
) -> dict[str, Any]:
    """Return what results/train/<strategy>.json holds."""
    costs = [outcome.cost.measures() for outcome in outcomes.values()]
    cost = {name: round(float(np.mean([c[name] for c in costs]))) for name in costs[0]}
    return {
        "strategy": tuned["strategy"],
        "recipe": tuned["recipe"],
        "seeds": list(outcomes),
        "best_seed": best,
        "cost": {**cost, "search_flops": tuned["search_flops"]},
        **{split: list(by_seed.values()) for split, by_seed in scores.items()},
    }


def entry(result: dict[str, Any], table: pd.DataFrame) -> Entry:
    """Rebuild a strategy's entry in the comparison from its document and its predictions."""
    columns = [name for name in map(str, table) if name.startswith("p_")]
    scored = {}
    for split in SPLITS:
        parts = [table[(table["split"] == split) & (table["seed"] == seed)] for seed in result["seeds"]]
        scored[split] = Scored([p["label"].to_numpy() for p in parts], [p[columns].to_numpy() for p in parts])
    return Entry(result["recipe"], scored["valid"], scored["test"], result["valid"], result["test"], result["cost"])
