"""Jobs: what a worker process is given, and what it does with it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from pipeline.common.errors import UserError
from pipeline.common.outcome import Epoch, Outcome
from pipeline.common.process_pool import Executor, Report, Work, cores
from pipeline.common.progress import quiet
from pipeline.config.cluster import LOCAL, Cluster
from pipeline.config.features import Features
from pipeline.config.params import Runtime
from pipeline.config.recipe import Recipe
from pipeline.data import image_set
from pipeline.data.image_set import ImageSet
from pipeline.execution.local_executor import LocalExecutor
from pipeline.execution.shared_training import SharedTraining
from pipeline.network.devices import visible_gpus
from pipeline.network.pretrained import WeightStore
from pipeline.training import head_units, unit
from pipeline.training.run_context import RunContext, make_run_context

ADVICE = "What is finished is kept: lower search.workers if memory is short, then run dvc repro again."


@dataclass(frozen=True)
class StageContext:
    """What all jobs of a stage share."""

    run_context: RunContext
    test: ImageSet | None = None  # given only to the stage that retrains
    validated: bool = False  # units keep their predictions on validation, though there is no test split

    def tested(self) -> ImageSet:
        """Return the test split; only a stage that was given one may ask."""
        assert self.test is not None
        return self.test


@dataclass(frozen=True)
class Job:
    """What one process does in one go: a unit, or several heads that are trained side by side."""

    numbers: tuple[int, ...]  # of the trials, or of the retraining
    recipes: tuple[Recipe, ...]
    seed: int
    until: int  # the epoch to train to
    cohort: str = ""  # of heads that are trained side by side
    fraction: float = 1.0  # of the training images


def open_context(
    dev: Path,
    test: Path | None,
    work: Path,
    valid_fraction: float,
    features: Features,
    runtime: Runtime,
    cuts: Sequence[int | str] = (),
    weights: Path | None = None,
    validated: bool = False,
) -> StageContext:
    """Open a stage's images in this process; tuning has no path to a test split that it could give."""
    quiet()
    run_context = make_run_context(
        image_set.load(dev), valid_fraction, features, work, runtime, cuts, WeightStore(weights)
    )
    return StageContext(run_context, image_set.load(test) if test else None, validated)


def executor(
    workers: int | Literal["auto"],
    make_context: Callable[[], StageContext],
    context: StageContext | None = None,
    cluster: Cluster = LOCAL,
) -> Executor:
    """Return an executor of jobs with so many processes; `context` is `make_context()`, if it was called already.

    `auto` is one process for each core, less where a process has several threads, and on GPUs one for each of them,
    which it has to itself; less where several share a training. On a Ray cluster it is as many as that has room for.
    """

    context = context or (make_context() if workers == "auto" and cluster.executor == "local" else None)
    devices = context.run_context.devices if context else 1
    work: Work = run if devices == 1 else SharedTraining(devices, make_context, run, is_shared, advice)
    if cluster.executor == "ray":
        from pipeline.execution.ray_executor import RayExecutor

        return RayExecutor(cluster, workers, make_context, work, advice, devices)
    gpus = visible_gpus() if context and context.run_context.device.type == "cuda" else []
    count = 1 if workers == "auto" else workers
    if workers == "auto" and context:
        side_by_side = len(gpus) if gpus else cores() // context.run_context.threads
        count = max(1, side_by_side // devices)
    return LocalExecutor(count, make_context, work, context, advice, gpus=gpus, devices=devices)


def advice(job: Job) -> str:
    """Return what to do when the process that did a job died."""
    return ADVICE


def is_shared(job: Job, context: StageContext) -> bool:
    """Say whether several devices share a job: not where it is done, nor where heads on fixed features are trained."""
    return not job.cohort and job.recipes[0].cut != "head" and not is_done(job, context)


def run(job: Job, context: StageContext, report: Report) -> list[Outcome]:
    """Do a job, or read back what is done; report ("epoch", number, epoch) and ("images", count).

    Raise UserError if the memory of the device, or of the machine, is too small.
    """
    try:
        return _run(job, context, report)
    except (MemoryError, RuntimeError) as error:
        if not _is_short_of_memory(error):
            raise
        recipe = job.recipes[0]
        raise UserError(
            f"memory of {context.run_context.device.type} does not suffice to train {recipe.backbone} with batch_size "
            f"{recipe.batch_size} and image_size {recipe.image_size}: lower one of these in its strategy, or "
            "search.workers, or runtime.micro_batch. What is finished is kept."
        ) from error


def _is_short_of_memory(error: Exception) -> bool:
    # If CPU memory runs out, PyTorch raises a plain RuntimeError.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def is_done(job: Job, context: StageContext) -> bool:
    """Say whether a job of a single unit is finished, so that running it only reads it back."""
    (recipe,) = job.recipes
    shared = context.run_context
    return unit.is_done(recipe, shared, job.seed, job.until, context.test, job.fraction, context.validated)


def _run(job: Job, context: StageContext, report: Report) -> list[Outcome]:

    def on_epoch(position: int, epoch: Epoch) -> None:
        report("epoch", job.numbers[position], epoch)

    def on_images(count: int) -> None:
        report("images", count)

    run_context = context.run_context
    if job.cohort:
        return head_units.heads(job.recipes, run_context, job.seed, job.until, job.cohort, on_epoch, on_images)
    (recipe,) = job.recipes
    return [
        unit.unit(recipe, run_context, job.seed, job.until, context.test, partial(on_epoch, 0), on_images,
                  job.fraction, context.validated)
    ]  # fmt: skip
