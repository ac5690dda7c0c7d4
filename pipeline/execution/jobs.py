"""What the executor is given: jobs, and what all of them share; and a rung's trials, cut into jobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline.common.errors import UserError
from pipeline.common.outcome import Epoch, Outcome
from pipeline.common.process_pool import Executor, Report
from pipeline.common.progress import TrialProgress, quiet
from pipeline.config.params import Features, Runtime
from pipeline.config.recipe import Recipe
from pipeline.data import image_set
from pipeline.data.image_set import ImageSet
from pipeline.network.pretrained import WeightStore
from pipeline.search.trials import FinishedTrial, Rung, value_of
from pipeline.tracking.runs import Unit
from pipeline.training import head_units, unit
from pipeline.training.batched_heads import stacks
from pipeline.training.run_context import RunContext, drop_states, settle


@dataclass(frozen=True)
class Context:
    """What all jobs of a stage share."""

    setting: RunContext
    test: ImageSet | None = None  # given to the stage that retrains alone

    def tested(self) -> ImageSet:
        """Return the test split, where there is one to see."""
        assert self.test is not None
        return self.test


@dataclass(frozen=True)
class Job:
    """A unit, or heads that are trained side by side: what one process does in one go."""

    numbers: tuple[int, ...]  # of the trials, or of the seed in its list
    recipes: tuple[Recipe, ...]
    seed: int
    until: int  # the epoch to train to
    cohort: str = ""  # of heads side by side
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
) -> Context:
    """Open a stage's images in this process; tuning has no path to the test split to give."""
    quiet()
    setting = settle(image_set.load(dev), valid_fraction, features, work, runtime, cuts, WeightStore(weights))
    return Context(setting, image_set.load(test) if test else None)


def plan(rung: Rung, seed: int) -> list[Job]:
    """Cut a rung into jobs, in order of their first trial; which trials share one follows from the rung alone."""
    recipes, until = rung.recipes, rung.until
    frozen = [number for number, recipe in recipes.items() if recipe.cut == "head"]
    found = [Job((n,), (recipe,), seed, until[n]) for n, recipe in recipes.items() if recipe.cut != "head"]
    for members in stacks([recipes[number] for number in frozen]):
        numbers = tuple(frozen[i] for i in members)
        found.append(Job(numbers, tuple(recipes[n] for n in numbers), seed, until[numbers[0]], rung.cohort))
    return sorted(found, key=lambda job: job.numbers)


def run(job: Job, context: Context, report: Report) -> list[Outcome]:
    """Do a job, or read back what is done; report ("epoch", number, epoch) and ("images", count).

    Raise UserError where the memory of the device, or of the machine, does not suffice.
    """
    try:
        return _run(job, context, report)
    except (MemoryError, RuntimeError) as error:
        if not _is_short_of_memory(error):
            raise
        recipe = job.recipes[0]
        raise UserError(
            f"memory of {context.setting.device.type} does not suffice to train {recipe.backbone} with batch_size "
            f"{recipe.batch_size} and image_size {recipe.image_size}: lower one of these in its strategy, or "
            "search.workers. What is finished is kept."
        ) from error


def _is_short_of_memory(error: Exception) -> bool:
    # For want of CPU memory PyTorch raises a plain RuntimeError.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _run(job: Job, context: Context, report: Report) -> list[Outcome]:

    def on_epoch(position: int, epoch: Epoch) -> None:
        report("epoch", job.numbers[position], epoch)

    def on_images(count: int) -> None:
        report("images", count)

    setting = context.setting
    if job.cohort:
        return head_units.heads(job.recipes, setting, job.seed, job.until, job.cohort, on_epoch, on_images)
    return [unit.unit(job.recipes[0], setting, job.seed, job.until, context.test, lambda e: on_epoch(0, e),
                            on_images, job.fraction)]  # fmt: skip


def tracked(t: FinishedTrial, strategy: str, tags: dict[str, str]) -> Unit:
    """Return a trial as MLflow is to show it."""
    recipe, name = t.recipe.model_dump() | {"strategy": strategy}, f"{strategy} trial {t.number}"
    shown = {**tags, "backbone": t.recipe.backbone, "state": t.state, "failed": t.outcome.failed}
    return Unit(f"trial-{t.number}", name, recipe, t.outcome.epochs, t.outcome.cost.measures(), shown)


class TrialRunner:
    """Whoever trains a stage's units, with a bar that shows how far they are."""

    def __init__(self, executor: Executor, bar: TrialProgress, seed: int) -> None:
        self._executor, self._bar, self._seed = executor, bar, seed
        self._jobs: list[Job] = []

    def train(self, rung: Rung) -> dict[int, Outcome]:
        """Train a rung's trials; return their outcomes by number."""
        planned = plan(rung, self._seed)
        self._jobs += planned
        self._bar.expect({number: recipe.epochs for number, recipe in rung.recipes.items()})
        outcomes: dict[int, Outcome] = {}
        for job, done in zip(planned, self._executor.map(planned, self._bar.on_event)):
            outcomes |= dict(zip(job.numbers, done))
        for number, outcome in outcomes.items():
            self._bar.end(number, rung.until[number], value_of(outcome))
        return outcomes

    def forget(self, setting: RunContext) -> None:
        """Delete the states from which the jobs so far could go on, once nothing will; results stay."""
        for job in self._jobs:
            for recipe in job.recipes:
                drop_states(recipe, setting, job.seed, job.cohort)
        self._jobs = []
