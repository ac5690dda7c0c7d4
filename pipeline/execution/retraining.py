"""Train the best recipe again: with every seed, on all training images and on fractions of them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.common.outcome import Outcome
from pipeline.common.process_pool import Executor
from pipeline.common.progress import TrialProgress
from pipeline.config.params import Train
from pipeline.config.recipe import Recipe
from pipeline.execution.jobs import Job


def retraining_jobs(recipe: Recipe, train: Train) -> list[Job]:
    """Return a job for each seed and fraction of the training images; the largest, which take longest, come first."""
    pairs = [(fraction, seed) for fraction in sorted(train.fractions, reverse=True) for seed in train.seeds]
    recipes = {fraction: recipe.with_scaled_epochs(fraction, train.epoch_scaling) for fraction in train.fractions}
    return [Job((n,), (recipes[f],), seed, recipes[f].epochs, fraction=f) for n, (f, seed) in enumerate(pairs)]


def retrain(jobs: Sequence[Job], executor: Executor, bar: TrialProgress) -> dict[float, dict[int, Outcome]]:
    """Do the retrainings; return their outcomes by fraction of the training images and by seed."""
    bar.expect({job.numbers[0]: job.until for job in jobs})
    found: dict[float, dict[int, Outcome]] = {}
    for job, (outcome,) in zip(jobs, executor.map(jobs, bar.on_event), strict=True):
        found.setdefault(job.fraction, {})[job.seed] = _packed(outcome)
    return found


def _packed(outcome: Outcome) -> Outcome:
    """Return an outcome whose probabilities are arrays, which take a quarter of the memory of lists."""

    def packed(part: dict[str, Any]) -> dict[str, Any]:
        return {key: np.array(values) for key, values in part.items()}

    return replace(outcome, valid=packed(outcome.valid), test=packed(outcome.test))
