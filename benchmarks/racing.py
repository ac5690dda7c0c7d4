"""Replay the race on stored full factorials: what it saves, and whether the recommendation stays.

    python -m benchmarks.racing demo=results/train

Each TASK=FOLDER names the results of stage train of a run with `racing: false`, with tune's results and the data's
summary beside it. Nothing is trained: a training that the race leaves out is left out of the stored ones.
Cost is of the retrainings alone, in FLOPs, feature passes counted for each.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.common.files import write_json
from pipeline.common.outcome import Cost, Outcome
from pipeline.config.metric_names import resolve_metric
from pipeline.config.params import Compare, Train
from pipeline.data.summary import DatasetSummary
from pipeline.execution.rounds import Point, every_point, race, rounds
from pipeline.statistics.build_comparison import build_comparison
from pipeline.statistics.racing import judge_of, stopping_level
from pipeline.statistics.schema import Comparison
from pipeline.statistics.stored_results import Measured, TrainResult, TuneResult, predictions
from pipeline.verdict.rule import recommend

FREE = Cost({}, 0, 0, 0, 0)
COMPARE = Compare(metric="auto", resamples=1000, confidence=0.95, worth=0.005, seed=0)


def main(argv: Sequence[str] | None = None) -> None:
    """Replay the race on each task and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="+", metavar="TASK=FOLDER")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/racing.json"), help="default: %(default)s")
    args = parser.parse_args(argv)
    found = {name: replayed(Path(folder)) for name, folder in (each.split("=", 1) for each in args.tasks)}
    write_json(args.out, found)
    for name, row in found.items():
        print(name, row)


def replayed(folder: Path) -> dict[str, Any]:
    """Return what the race would have cost on a task, and whether it recommends the same."""
    names = sorted(path.stem for path in folder.glob("*.json"))
    stored = {name: TrainResult.load(folder / f"{name}.json") for name in names}
    tables = {name: pd.read_csv(folder / f"{name}.csv", dtype={"id": str}) for name in names}
    tuned = {name: TuneResult.load(folder.parent / "tune" / f"{name}.json") for name in names}
    dataset = DatasetSummary.load(folder.parent / "data" / "summary.json")
    first = stored[names[0]]
    train = Train(seeds=first.seeds, fractions=tuple(point.fraction for point in first.curve))
    labels, outcomes = _validation(tables)
    metric = resolve_metric(COMPARE.metric, dataset.counts["train"])
    got: dict[str, set[Point]] = {name: set() for name in names}

    def do(asked: Any) -> dict[str, dict[float, dict[int, Outcome]]]:
        found: dict[str, dict[float, dict[int, Outcome]]] = {}
        for name, points in asked.items():
            got[name] |= set(points)
            found[name] = {}
            for fraction, seed in points:
                found[name].setdefault(fraction, {})[seed] = outcomes[name][seed]
        return found

    level = stopping_level(COMPARE.confidence, len(names), len(rounds(train)))
    _, stopped = race(names, train, do, judge_of(labels, metric, COMPARE.worth, level))
    whole = {name: set(every_point(train)) for name in names}
    compared = {kind: _compared(stored, tables, tuned, dataset, points) for kind, points in
                (("full", whole), ("raced", got))}  # fmt: skip
    chosen = {kind: recommend(found) or "" for kind, found in compared.items()}
    best = {name: compared["full"].goodness(name, "test") for name in names}
    return {
        "flops_full": _flops(stored, whole),
        "flops_raced": _flops(stored, got),
        "stopped": {name: why.model_dump() for name, why in stopped.items()},
        "recommended_full": chosen["full"],
        "recommended_raced": chosen["raced"],
        "same_recommendation": chosen["full"] == chosen["raced"],
        "difference_of_test_score": best[chosen["full"]] - best[chosen["raced"]],
    }


def _validation(tables: dict[str, pd.DataFrame]) -> tuple[np.ndarray, dict[str, dict[int, Outcome]]]:
    """Return the labels of all images ever validated on, and outcomes that hold the predictions, by name and seed."""
    valid = {name: table[(table["split"] == "valid") & (table["fraction"] == 1)] for name, table in tables.items()}
    known = pd.concat(list(valid.values())).drop_duplicates("id").set_index("id")["label"]
    found: dict[str, dict[int, Outcome]] = {}
    for name, table in valid.items():
        columns = [column for column in table if str(column).startswith("p_")]
        found[name] = {
            int(seed): replace(
                Outcome([], FREE),
                valid={"rows": known.index.get_indexer(part["id"]), "probabilities": part[columns].to_numpy()},
            )
            for seed, part in table.groupby("seed")
        }
    return known.to_numpy(), found


def _flops(stored: dict[str, TrainResult], points: dict[str, set[Point]]) -> int:
    cost = {name: {point.fraction: point.train_flops for point in found.curve} for name, found in stored.items()}
    return sum(cost[name][fraction] for name, own in points.items() for fraction, _ in own)


def _compared(
    stored: dict[str, TrainResult], tables: dict[str, pd.DataFrame], tuned: dict[str, TuneResult],
    dataset: DatasetSummary, points: dict[str, set[Point]],
) -> Comparison:  # fmt: skip
    """Return the comparison of these trainings."""
    results, predicted = {}, {}
    for name, found in stored.items():
        results[name] = _restricted(found, points[name])
        keep = pd.MultiIndex.from_tuples(sorted(points[name]))
        table = tables[name]
        rows = pd.MultiIndex.from_frame(table[["fraction", "seed"]].astype({"fraction": float})).isin(keep)
        predicted[name] = predictions(results[name], table[rows])
    measured = Measured(results, tuned, predicted, {}, {}, {})
    return build_comparison(measured, dataset, COMPARE)


def _restricted(found: TrainResult, points: set[Point]) -> TrainResult:
    seeds = tuple(seed for seed in found.seeds if (1.0, seed) in points)
    raw = found.model_dump()
    for split in ("valid", "test"):
        raw[split] = [scores for seed, scores in zip(found.seeds, raw[split]) if seed in seeds]
    curve = []
    for point in raw["curve"]:
        own = [seed for seed in found.seeds if (point["fraction"], seed) in points]
        scores = [each for seed, each in zip(found.seeds, point["test"]) if seed in own]
        if own:
            curve.append({**point, "seeds": own, "test": scores})
    return TrainResult.model_validate({**raw, "seeds": seeds, "curve": curve})


if __name__ == "__main__":
    main()
