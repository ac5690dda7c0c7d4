"""From the outcomes of one recipe, under several seeds and shares of the images, to what train writes, and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.common.errors import UserError
from pipeline.common.files import Outcome, read_csv, read_json
from pipeline.data.image_set import ImageSet
from pipeline.statistics.comparison import Entry
from pipeline.statistics.jackknife import Scored, tables
from pipeline.training.metrics import METRICS, score

SPLITS = ("valid", "test")
Scores = dict[str, dict[int, dict[str, float]]]  # by split, seed and metric
Trained = Mapping[float, Mapping[int, Outcome]]  # by share of the training images, then by seed


def check(trained: Trained) -> None:
    """Raise UserError where a training diverged."""
    for fraction, by_seed in trained.items():
        for seed, outcome in by_seed.items():
            if outcome.failed:
                where = f"seed {seed}" if fraction == 1 else f"seed {seed}, {100 * fraction:g} % of the images"
                raise UserError(f"{where}: {outcome.failed}. Lower the learning_rate in this strategy's space.")


def summarise(outcomes: Mapping[int, Outcome], dev: ImageSet, test: ImageSet) -> Scores:
    """Return scores by split and seed."""
    return {
        split: {seed: score(labels, probabilities) for seed, (_, labels, probabilities) in parts.items()}
        for split, parts in _parts(outcomes, dev, test).items()
    }


def _parts(outcomes: Mapping[int, Outcome], dev: ImageSet, test: ImageSet) -> dict[str, Any]:
    """Return (ids, labels, probabilities) by split and seed, of splits that were scored."""
    found: dict[str, Any] = {}
    for seed, outcome in outcomes.items():
        for split, images, scored in (("valid", dev, outcome.valid), ("test", test, outcome.test)):
            if scored:
                rows = np.asarray(scored["rows"])
                seen = images.ids[rows], images.labels[rows], np.asarray(scored["probabilities"])
                found.setdefault(split, {})[seed] = seen
    return found


def predictions(trained: Trained, dev: ImageSet, test: ImageSet) -> pd.DataFrame:
    """Return a row per split, share, seed and image: id, label (an index), and the probability of each class."""
    tables = []
    for fraction in sorted(trained, reverse=True):
        for split, parts in _parts(trained[fraction], dev, test).items():
            for seed, (ids, labels, probabilities) in parts.items():
                table = pd.DataFrame(probabilities, columns=[f"p_{name}" for name in dev.classes])
                named = {"split": split, "fraction": fraction, "seed": seed, "id": ids, "label": labels}
                for position, (name, values) in enumerate(named.items()):
                    table.insert(position, name, values)
                tables.append(table)
    return pd.concat(tables, ignore_index=True)


def best_seed(scores: Scores) -> int:
    """Return the seed whose network has the lowest validation log loss: the one to register."""
    return min(scores["valid"], key=lambda seed: (scores["valid"][seed]["log_loss"], seed))


def means(scores: Scores) -> dict[str, float]:
    """Return the mean over seeds of every score, named as in MLflow."""
    return {
        f"{split}_{metric}": float(np.mean([s[metric] for s in by_seed.values()]))
        for split, by_seed in scores.items()
        for metric in METRICS
    }


def curve(trained: Trained, dev: ImageSet, test: ImageSet) -> list[dict[str, Any]]:
    """Return the points of the learning curve, ascending: share, images, mean cost of a training, scores by seed."""
    return [
        {
            "fraction": fraction,
            "images": round(np.mean([outcome.images for outcome in trained[fraction].values()])),
            "train_flops": round(np.mean([outcome.cost.train_flops for outcome in trained[fraction].values()])),
            "test": list(summarise(trained[fraction], dev, test)["test"].values()),
        }
        for fraction in sorted(trained)
    ]


def document(
    scores: Scores,
    trained: Trained,
    points: list[dict[str, Any]],
    tuned: dict[str, Any],
    model_bytes: int,
    transfer: dict[str, float] | None,
) -> dict[str, Any]:
    """Return what results/train/<strategy>.json holds."""
    outcomes = trained[1.0]
    costs = [outcome.cost.measures() for outcome in outcomes.values()]
    cost = {name: round(float(np.mean([c[name] for c in costs]))) for name in costs[0]}
    return {
        "strategy": tuned["strategy"],
        "recipe": tuned["recipe"],
        "seeds": list(outcomes),
        "best_seed": best_seed(scores),
        "cost": {**cost, "search_flops": tuned["search_flops"], "model_bytes": model_bytes},
        "curve": points,
        "transfer": transfer,
        **{split: list(by_seed.values()) for split, by_seed in scores.items()},
    }


@dataclass(frozen=True)
class Measured:
    """What tune and train have written, by strategy."""

    trained: dict[str, dict[str, Any]]
    tuned: dict[str, dict[str, Any]]
    entries: dict[str, Entry]  # the strategies as they enter the comparison
    predictions: dict[str, pd.DataFrame]  # on test, of trainings on all images
    trials: dict[str, pd.DataFrame]
    timings: dict[str, dict[str, Any]]  # train's, with tune's under `tune`


def measured(names: Sequence[str], trained: Path, tuned: Path, times: Path) -> Measured:
    """Read what tune and train wrote of these strategies; raise UserError where a file is missing."""
    training, tuning = ({n: read_json(times / stage / f"{n}.json") for n in names} for stage in ("train", "tune"))
    documents = {name: read_json(trained / f"{name}.json") for name in names}
    entries, predicted = {}, {}
    for name in names:  # a table may be large, and most of it is done with once it has been read
        table = _predicted(trained / f"{name}.csv", documents[name])
        entries[name] = entry(documents[name], table)
        predicted[name] = table[(table["split"] == "test") & (table["fraction"] == 1)]
    return Measured(
        trained=documents,
        tuned={name: read_json(tuned / f"{name}.json") for name in names},
        entries=entries,
        predictions=predicted,
        trials={name: read_csv(tuned / f"{name}.csv") for name in names},
        timings={name: {**training[name], "tune": tuning[name]} for name in names},
    )


def _predicted(path: Path, result: dict[str, Any]) -> pd.DataFrame:
    """Read a strategy's predictions; raise UserError where some are missing."""
    table = read_csv(path, {"id": str})
    keys = ["split", "fraction", "seed"]
    wanted = {("test", point["fraction"]) for point in result["curve"]} | {("valid", 1.0)}
    known = set(keys) <= set(table) and not table.isna().any(axis=None)
    counts: dict[Any, int] = table.groupby(keys).size().to_dict() if known else {}
    parts = {(*part, seed) for part in wanted for seed in result["seeds"]}
    tested = {count for part, count in counts.items() if part[0] == "test"}
    if not (parts <= set(counts) and len(tested) == 1):
        raise UserError(f"{path}: some predictions are missing; delete it and run dvc repro")
    return table


def entry(result: dict[str, Any], table: pd.DataFrame) -> Entry:
    """Rebuild a strategy's entry in the comparison from its document and its predictions."""
    seeds, points = result["seeds"], {point["fraction"]: point for point in result["curve"]}
    by_split = {split: table[table["split"] == split] for split in SPLITS}
    whole = {split: rows[rows["fraction"] == 1] for split, rows in by_split.items()}
    tested = by_split["test"]
    return Entry(
        result["recipe"],
        _scored(whole["valid"], seeds, shared=False),
        _scored(whole["test"], seeds),
        result["valid"],
        result["test"],
        result["cost"],
        curve={f: tables(_scored(tested[tested["fraction"] == f], seeds)) for f in points if f < 1},
        sizes={fraction: point["images"] for fraction, point in points.items()},
        flops={fraction: point["train_flops"] for fraction, point in points.items()},
    )


def _scored(table: pd.DataFrame, seeds: list[int], shared: bool = True) -> Scored:
    columns = [name for name in map(str, table) if name.startswith("p_")]
    parts = [table[table["seed"] == seed] for seed in seeds]
    ids = None if shared else [p["id"].to_numpy() for p in parts]
    return Scored([p["label"].to_numpy() for p in parts], [p[columns].to_numpy() for p in parts], ids)
