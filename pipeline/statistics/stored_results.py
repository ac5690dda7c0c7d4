"""Read back what stages tune and train wrote of each strategy."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.common.errors import UserError
from pipeline.common.files import read_csv, read_json
from pipeline.statistics.comparison import Entry
from pipeline.statistics.jackknife import Scored, tables

SPLITS = ("valid", "test")


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
