"""Train the best recipe again: with every seed, on all training images and on fractions of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.common.outcome import Outcome
from pipeline.common.process_pool import Executor
from pipeline.common.progress import TrialProgress
from pipeline.config.params import Train
from pipeline.config.recipe import Recipe
from pipeline.execution.jobs import Job, StageContext, is_done, run
from pipeline.execution.rounds import Point, Trained


def retraining_jobs(recipe: Recipe, train: Train, points: Sequence[Point], first: int = 0) -> list[Job]:
    """Return a job for each of these points, numbered from `first`; the largest, which take longest, come first."""
    recipes = {fraction: recipe.with_scaled_epochs(fraction, train.epoch_scaling) for fraction, _ in points}
    ordered = sorted(points, key=lambda point: -point[0])
    return [Job((n,), (recipes[f],), seed, recipes[f].epochs, fraction=f) for n, (f, seed) in enumerate(ordered, first)]


class Retrainings:
    """Do retrainings of some recipes, side by side, and remember which were asked for.

    What is finished is read back in this process, so that no worker is started for it.
    """

    def __init__(
        self, recipes: Mapping[str, Recipe], train: Train, context: StageContext, executor: Executor, bar: TrialProgress
    ) -> None:
        self._recipes, self._train, self._context = recipes, train, context
        self._executor, self._bar = executor, bar
        self.jobs: dict[str, list[Job]] = {name: [] for name in recipes}

    def do(self, points: Mapping[str, Sequence[Point]]) -> dict[str, Trained]:
        """Return the outcomes of some recipes at some points, by name, fraction of the training images, and seed."""
        asked: list[tuple[str, Job]] = []
        for name, own in points.items():
            jobs = retraining_jobs(self._recipes[name], self._train, own, sum(map(len, self.jobs.values())))
            self.jobs[name] += jobs
            asked += [(name, job) for job in jobs]
        self._bar.expect({job.numbers[0]: job.until for _, job in asked})
        known = {job.numbers[0]: self._read_back(job) for _, job in asked if is_done(job, self._context)}
        todo = [job for _, job in asked if job.numbers[0] not in known]
        for job, (outcome,) in zip(todo, self._executor.map(todo, self._bar.on_event), strict=True):
            known[job.numbers[0]] = outcome
        found: dict[str, Trained] = {name: {} for name in points}
        for name, job in asked:
            found[name].setdefault(job.fraction, {})[job.seed] = _packed(known[job.numbers[0]])
        return found

    def _read_back(self, job: Job) -> Outcome:
        (outcome,) = run(job, self._context, self._bar.on_event)
        self._bar.end(job.numbers[0], job.until, math.inf)
        return outcome


def _packed(outcome: Outcome) -> Outcome:
    """Return an outcome whose probabilities are arrays, which take a quarter of the memory of lists."""

    def packed(part: dict[str, Any]) -> dict[str, Any]:
        return {key: np.array(values) for key, values in part.items()}

    return replace(outcome, valid=packed(outcome.valid), test=packed(outcome.test))
