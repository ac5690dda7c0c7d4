"""Our own arms, read from the results of a finished run."""

from pathlib import Path
from typing import Any

from benchmarks.peers.records import SCORES, Record
from benchmarks.peers.tasks import digest_of
from pipeline.common.files import read_csv, read_json
from pipeline.config.recipe import FRESH, HEADS, TUNED
from pipeline.statistics.schema import Comparison
from pipeline.statistics.stored_results import TrainResult

TOOL = "headstart"
ARMS = {HEADS: "frozen", TUNED: "finetune", FRESH: "scratch"}
NAMES = dict(zip(SCORES, ("accuracy", "roc_auc", "log_loss")))


def records(results: Path, task: str) -> list[Record]:
    """Return a record for each arm: of the strategies of one kind, the best on validation.

    Scores are means over seeds. CPU-seconds are those of the search and of one training on all images, which give one
    model, as a peer's training does; `run_cpu_seconds` are those of the whole search and all trainings. Raise UserError
    where a file of the run is missing or damaged.
    """
    comparison = Comparison.load(results / "comparison.json")
    return [_record(results, task, ARMS[kind], names[0], comparison) for kind, names in comparison.by_kind().items()]


def _record(results: Path, task: str, arm: str, name: str, comparison: Comparison) -> Record:
    strategy = comparison.strategies[name]
    trained = TrainResult.load(results / "train" / f"{name}.json")
    tune, train = (read_json(results / "timings" / stage / f"{name}.json") for stage in ("tune", "train"))
    one = train["train"]["cpu_seconds"] * share_of_one(trained)
    ids = read_csv(results / "train" / f"{name}.csv", {"id": str}).query("split == 'test'")["id"]
    seeds = [{"seed": seed, **{ours: scores[theirs] for ours, theirs in NAMES.items()}}
             for seed, scores in zip(trained.seeds, trained.test)]  # fmt: skip
    return {
        "task": task,
        "arm": arm,
        "tool": TOOL,
        **{ours: strategy.test[theirs].mean for ours, theirs in NAMES.items()},
        "cpu_seconds": tune["cpu_seconds"] + one,
        "run_cpu_seconds": tune["cpu_seconds"] + train["train"]["cpu_seconds"],
        "test_split": digest_of(ids.tolist()),
        "trainings": seeds,
        "settings": _settings(name, strategy.recipe.model_dump(mode="json"), tune["cpu_seconds"], one),
    }


def share_of_one(trained: TrainResult) -> float:
    """Return one training's share of all trainings' FLOPs: trainings on fewer images are cheaper."""
    return trained.curve[-1].train_flops / (len(trained.seeds) * sum(point.train_flops for point in trained.curve))


def _settings(name: str, recipe: dict[str, Any], search: float, training: float) -> dict[str, Any]:
    return {"strategy": name, **recipe, "search_cpu_seconds": search, "training_cpu_seconds": training}
