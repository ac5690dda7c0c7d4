"""Retrainings as MLflow shows them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pipeline.common.outcome import Outcome
from pipeline.execution.jobs import Job
from pipeline.tracking.runs import RunRecord


def retraining_records(
    jobs: Sequence[Job],
    trained: Mapping[float, Mapping[int, Outcome]],
    points: Sequence[dict[str, Any]],
    timing: Callable[..., Mapping[str, float]],
    tags: dict[str, str],
) -> Iterator[RunRecord]:
    """Yield what MLflow shows of each retraining that did not diverge.

    `points` holds their scores on test by fraction and seed; `timing` tells the seconds that one took.
    """
    scores = {point["fraction"]: dict(zip(trained[point["fraction"]], point["test"])) for point in points}
    for job in jobs:
        if job.seed not in scores.get(job.fraction, {}):
            continue
        outcome, share = trained[job.fraction][job.seed], f"{100 * job.fraction:g} %"
        name = f"{tags['strategy']} seed {job.seed}" + (f", {share} of the images" if job.fraction < 1 else "")
        tested = {f"test_{metric}": value for metric, value in scores[job.fraction][job.seed].items()}
        measures = tested | outcome.cost.measures() | {"train_images": outcome.images}
        shown = job.recipes[0].model_dump() | {"strategy": tags["strategy"]}
        marks = tags | {"seed": str(job.seed), "fraction": f"{job.fraction:g}"}
        seconds = timing(job.recipes[0], seed=job.seed, fraction=job.fraction)["seconds"]
        yield RunRecord(f"seed-{job.seed}-{job.fraction:g}", name, shown, outcome.epochs, measures, marks, seconds)
