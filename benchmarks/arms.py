"""What single changes of a strategy's recipe bring, on validation images: `python -m benchmarks.arms --arm scratch`.

A training with each change is compared with one of the baseline on the same split, seed by seed. No test image is read.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ablations import ARMS, Arm
from pipeline.common.errors import UserError
from pipeline.common.files import read_json, write_json
from pipeline.config import params as parameters
from pipeline.config.recipe import Recipe
from pipeline.data.folds import train_valid
from pipeline.data.image_set import ImageSet
from pipeline.execution import jobs
from pipeline.training.metrics import score
from pipeline.training.run_context import RunContext
from pipeline.training.unit import timing, unit

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "arms.json"


@dataclass(frozen=True)
class Measured:
    """What a recipe reaches on validation images, in the mean over so many seeds, and what one training takes."""

    accuracy: float
    log_loss: float
    cpu_seconds: float  # of the quickest: the first to be trained may also have paid for the features
    seeds: int


def measure(recipe: Recipe, context: RunContext, seeds: Sequence[int]) -> Measured:
    """Train a recipe with each seed, or read back what was trained, and score its final predictions, over all views."""
    accuracy, log_loss, taken = np.array([_train(recipe, context, seed) for seed in seeds]).T
    return Measured(float(accuracy.mean()), float(log_loss.mean()), float(taken.min()), len(seeds))


def _train(recipe: Recipe, context: RunContext, seed: int) -> tuple[float, float, float]:
    dev = context.dev
    _, valid = train_valid(dev, context.valid_fraction, seed)
    outcome = unit(recipe, context, seed, test=_one(dev, int(valid[0])))
    if outcome.failed:
        raise UserError(f"{recipe}: {outcome.failed}")
    scores = score(dev.labels[outcome.valid["rows"]], np.array(outcome.valid["probabilities"]))
    return scores["accuracy"], scores["log_loss"], timing(recipe, context, seed)["cpu_seconds"]


def _one(images: ImageSet, row: int) -> ImageSet:
    """Return one validation image in the place of a test split: with it, a unit scores validation over all views."""
    rows = np.array([row])
    return replace(images, images=images.images[rows], labels=images.labels[rows], strata=images.strata[rows],
                   ids=images.ids[rows], digest=f"{images.digest}-{row}")  # fmt: skip


def compare(arm: Arm, task: str, changed: Measured, baseline: Measured, change: str) -> dict[str, Any]:
    """Return a line of arms.json: gains are positive where the change is better."""
    return {
        "change": change,
        "arm": arm.name,
        "task": task,
        "gain_points": round(100 * (changed.accuracy - baseline.accuracy), 2),
        "gain_log_loss": round(baseline.log_loss - changed.log_loss, 4),
        "cpu_ratio": round(changed.cpu_seconds / baseline.cpu_seconds, 2),
        "adopted": change in arm.adopted,
        "seeds": changed.seeds,
    }


def record(line: dict[str, Any], path: Path = RESULTS) -> None:
    """Put a line into arms.json, in place of an earlier one of the same change."""
    lines = read_json(path) if path.exists() else []
    names = ("arm", "task", "change")
    kept = [each for each in lines if any(each[name] != line[name] for name in names)]
    write_json(path, sorted([*kept, line], key=lambda each: [each[name] for name in names]))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure an arm's changes on a task, those named or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arm", choices=sorted(ARMS), required=True)
    parser.add_argument("--task", default="elpv", help="what the images are called in arms.json")
    parser.add_argument("--dev", type=Path, default=ROOT / "data" / "prepared" / "dev", help="its train and valid")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", nargs="+", help="names of changes")
    args = parser.parse_args(argv)
    params = parameters.load(ROOT / "params.yaml")
    work = ROOT / ".headstart" / "arms"
    context = jobs.open_context(args.dev, None, work, params.prepare.valid_fraction, params.features,
                                params.runtime).run_context  # fmt: skip
    arm = ARMS[args.arm]
    baseline = measure(Recipe(**arm.baseline), context, args.seeds)
    print(f"baseline: {baseline}", flush=True)
    for change, values in arm.changes.items():
        if args.only and change not in args.only:
            continue
        changed = measure(Recipe(**{**arm.baseline, **values}), context, args.seeds)
        line = compare(arm, args.task, changed, baseline, change)
        record(line)
        print(json.dumps(line), changed, flush=True)


if __name__ == "__main__":
    main()
