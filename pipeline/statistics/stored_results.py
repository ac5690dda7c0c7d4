"""Read back what stages tune and train wrote of each strategy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from pipeline.common.documents import Document
from pipeline.common.errors import UserError
from pipeline.common.files import read_csv, read_json
from pipeline.config.recipe import Recipe
from pipeline.statistics.jackknife import Scored, influence_tables
from pipeline.statistics.missing import Diverged, Stopped
from pipeline.statistics.schema import StrategyCost, Transferability
from pipeline.statistics.scores_and_differences import StrategyPredictions
from pipeline.statistics.timings import StrategyTimings, Timings

VALID, TEST = "valid", "test"


class TuneResult(Document):
    """What results/tune/<strategy>.json holds."""

    strategy: str
    recipe: Recipe  # of the best trial
    best_trial: int
    objective: str
    value: float  # of the objective, on validation
    trials: dict[str, int]  # by state
    search_flops: int
    budget_flops: float | None
    ended_by: Literal["trials", "budget"]


class TrainedPoint(Document):
    """The trainings on a share of the images: each seed's scores on test."""

    fraction: float
    images: int
    train_flops: int
    test: tuple[dict[str, float], ...]
    seeds: tuple[int, ...] | None = None  # None: those of all images


class TrainResult(Document):
    """What results/train/<strategy>.json and results/race/<strategy>.json hold."""

    strategy: str
    recipe: Recipe
    seeds: tuple[int, ...]  # of trainings on all images
    best_seed: int
    cost: StrategyCost
    curve: tuple[TrainedPoint, ...]  # ascending; the last is of all images
    transfer: Transferability | None
    valid: tuple[dict[str, float], ...]  # each seed's scores
    test: tuple[dict[str, float], ...]
    stopped: Stopped | None = None
    diverged: tuple[Diverged, ...] = ()

    def seeds_at(self, point: TrainedPoint) -> tuple[int, ...]:
        """Return the seeds of a point of the curve."""
        return self.seeds if point.seeds is None else point.seeds


@dataclass(frozen=True)
class Measured:
    """What tune and train have written, by strategy."""

    trained: Mapping[str, TrainResult]
    tuned: Mapping[str, TuneResult]
    predictions: Mapping[str, StrategyPredictions]
    tested: Mapping[str, pd.DataFrame]  # the predictions on test, of trainings on all images, as a table
    trials: Mapping[str, pd.DataFrame]
    timings: Timings


def measured(names: Sequence[str], trained: Path, tuned: Path, times: Path) -> Measured:
    """Read what tune and train wrote of these strategies; raise UserError where a file is missing or damaged."""
    results = {name: TrainResult.load(trained / f"{name}.json") for name in names}
    predicted, tested = {}, {}
    for name in names:  # a table may be large, and most of it is done with once it has been read
        table = _predicted(trained / f"{name}.csv", results[name])
        predicted[name] = predictions(results[name], table)
        tested[name] = table[(table["split"] == "test") & (table["fraction"] == 1)]
    return Measured(
        trained=results,
        tuned={name: TuneResult.load(tuned / f"{name}.json") for name in names},
        predictions=predicted,
        tested=tested,
        trials={name: read_csv(tuned / f"{name}.csv") for name in names},
        timings={name: _timings(times, name) for name in names},
    )


def _timings(folder: Path, name: str) -> StrategyTimings:
    train, tune = folder / "train" / f"{name}.json", folder / "tune" / f"{name}.json"
    return StrategyTimings.parsed({**read_json(train), "tune": read_json(tune)}, train)


def _predicted(path: Path, result: TrainResult) -> pd.DataFrame:
    """Read a strategy's predictions; raise UserError where some are missing."""
    table = read_csv(path, {"id": str})
    keys = ["split", "fraction", "seed"]
    parts = {(TEST, point.fraction, seed) for point in result.curve for seed in result.seeds_at(point)}
    parts |= {(VALID, 1.0, seed) for seed in result.seeds}
    known = set(keys) <= set(table) and not table.isna().any(axis=None)
    counts: dict[Any, int] = table.groupby(keys).size().to_dict() if known else {}
    tested = {count for part, count in counts.items() if part[0] == TEST}
    if not (parts <= set(counts) and len(tested) == 1):
        raise UserError(f"{path}: some predictions are missing; delete it and run dvc repro")
    return table


def predictions(result: TrainResult, table: pd.DataFrame) -> StrategyPredictions:
    """Rebuild a strategy's predictions from their table."""
    tested, whole = table[table["split"] == TEST], table[table["fraction"] == 1]
    validated = whole[whole["split"] == VALID]
    unseen = validated[validated["searched"] == 0] if "searched" in table else validated[:0]
    smaller = {point.fraction: result.seeds_at(point) for point in result.curve if point.fraction < 1}
    return StrategyPredictions(
        _scored(validated, result.seeds, shared=False),
        _scored(whole[whole["split"] == TEST], result.seeds),
        result.valid,
        result.test,
        unseen=_scored(unseen, result.seeds, shared=False) if len(unseen) else None,
        curve={f: influence_tables(_scored(tested[tested["fraction"] == f], seeds)) for f, seeds in smaller.items()},
    )


def _scored(table: pd.DataFrame, seeds: Sequence[int], shared: bool = True) -> Scored:
    """Return each seed's predictions; `shared` may be the same images, and then need no ids."""
    columns = [name for name in map(str, table) if name.startswith("p_")]
    parts = {seed: rows for seed in seeds if len(rows := table[table["seed"] == seed])}
    ids = [part["id"].to_numpy() for part in parts.values()]
    labels, probabilities = zip(*((p["label"].to_numpy(), p[columns].to_numpy()) for p in parts.values()))
    same = shared and all(np.array_equal(each, ids[0]) for each in ids)
    return Scored(list(labels), list(probabilities), None if same else ids, tuple(parts))
