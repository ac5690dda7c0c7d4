"""What the benchmarks of the search share: the demo's images, prepared, and a folder to work in."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.plain import Files
from pipeline.common.outcome import Outcome
from pipeline.common.progress import TrialProgress
from pipeline.common.timing import cpu_seconds
from pipeline.config.params import Params
from pipeline.config.recipe import Recipe
from pipeline.config.strategies import Strategy
from pipeline.data import image_set
from pipeline.execution import jobs
from pipeline.search.trial_runner import TrialRunner
from pipeline.search.trials import Rung
from pipeline.training.run_context import RunContext
from pipeline.training.unit import unit


@dataclass
class Clock:
    """CPU-seconds of this process and its ended children, read when the block ends."""

    seconds: float = 0.0


@contextlib.contextmanager
def clock() -> Iterator[Clock]:
    """Measure a block in CPU-seconds."""
    found, start = Clock(), cpu_seconds()
    yield found
    found.seconds = cpu_seconds() - start


@dataclass(frozen=True)
class Demo:
    """The images, the parameters of the repository, and where features and units are kept."""

    params: Params
    raw: Path  # the folder of image files
    dev: Path  # what prepare made of them: train and valid
    work: Path

    def row(self, name: str, **changed: Any) -> Strategy:
        """Return a strategy's row, changed."""
        return self.params.strategies[name].model_copy(update=changed)

    def context(self, work: Path | None = None, cuts: tuple[Any, ...] = ()) -> RunContext:
        """Return the context of units in a folder of their own, or in the one that all share."""
        p = self.params
        return jobs.open_context(
            self.dev, None, work or self.work, p.prepare.valid_fraction, p.features, p.runtime, cuts
        ).run_context

    def files(self) -> Files:
        """Return the images as files that are decoded anew each time."""
        import pandas as pd

        images = image_set.load(self.dev)
        names = pd.read_csv(self.dev / image_set.MANIFEST, dtype=str, usecols=["path"])["path"]
        return Files(images, [self.raw / name for name in names], self.params.features.views)

    def train(
        self, recipes: dict[int, Recipe], work: Path | None = None, title: str = "training"
    ) -> dict[int, Outcome]:
        """Train recipes to the end in this process; heads in bulk."""
        p = self.params
        make = partial(jobs.open_context, self.dev, None, work or self.work, p.prepare.valid_fraction, p.features,
                       p.runtime, tuple({recipe.cut for recipe in recipes.values()}))  # fmt: skip
        with jobs.executor(1, make) as executor, TrialProgress(title, len(recipes), len(recipes)) as bar:
            until = {number: recipe.epochs for number, recipe in recipes.items()}
            return TrialRunner(executor, bar, p.search.seed).train(Rung(title, recipes, until))

    def standard_error(self, recipe: Recipe) -> float:
        """Return the standard error of a recipe's mean log loss on its validation images."""
        context = self.context()
        scored = unit(recipe, context, self.params.search.seed, test=context.dev).valid  # no test image is read
        named = np.array(scored["probabilities"])[np.arange(len(scored["rows"])), context.dev.labels[scored["rows"]]]
        return float((-np.log(named)).std(ddof=1) / np.sqrt(len(named)))
