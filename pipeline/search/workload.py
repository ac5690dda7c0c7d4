"""What the run of a strategy consists of, counted before anything is run: units, and the images each goes through.

Which recipes a search will propose is not known: its default one and quasi-random ones stand for all of them, and the
costliest of these for the one that wins.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pipeline.config.params import Train
from pipeline.config.recipe import Recipe
from pipeline.config.strategies import Search, Strategy
from pipeline.execution.rounds import Point, minimum, rounds
from pipeline.search.halving import promoted, until
from pipeline.search.proposals import first_round
from pipeline.search.trial_runner import jobs_of_rung
from pipeline.search.trials import Rung
from pipeline.training.image_costs import ImageCosts
from pipeline.training.samples import images_an_epoch

ITERATIONS = 840  # of L-BFGS, over the path of penalties of a logistic head: what the demo takes
Stage = Literal["tune", "train", "race"]
CostsOf = Callable[[Recipe], ImageCosts]


class Sketch(Protocol):
    """What is known of a recipe's network."""

    cuts: tuple[int, ...]  # after how many stages features are asked for
    bytes_stored: dict[int, int]  # of one view of an image, by the same


@dataclass(frozen=True)
class Counts:
    """How many images there are by split, and in how many views they are trained on and scored."""

    train: int
    valid: int
    test: int
    views: int
    scored: int

    @property
    def dev(self) -> int:
        """Return how many images there are in train and valid."""
        return self.train + self.valid


@dataclass(frozen=True)
class Unit:
    """The images that a unit goes through, each as often as it does; of heads side by side, those of one of them."""

    recipes: tuple[Recipe, ...]
    trained: float
    looked: float
    fitted: float  # times the iterations of a logistic regression
    epochs: int

    def cost(self, costs_of: CostsOf) -> float:
        """Return what it costs, in the unit of `costs_of`."""
        return sum(self.trained * c.trained + self.looked * c.looked + self.fitted * c.fitted
                   for c in map(costs_of, self.recipes))  # fmt: skip


@dataclass(frozen=True)
class FeaturePass:
    """A pass over views of images, through so many stages, and what it leaves in the cache."""

    recipe: Recipe
    at: int
    images: float  # times views
    stored: float  # bytes

    def cost(self, costs_of: CostsOf) -> float:
        """Return what it costs, in the unit of `costs_of`."""
        return self.images * costs_of(self.recipe).passes[self.at]


@dataclass(frozen=True)
class Step:
    """Units that may run side by side, and the feature passes that they wait for; the next step waits for all."""

    stage: Stage
    units: tuple[Unit, ...]
    passes: tuple[FeaturePass, ...] = ()
    trials: int = 0  # that begin here; those whose recipe is trained already have no unit

    def cost(self, costs_of: CostsOf) -> float:
        """Return what it costs in all, in the unit of `costs_of`."""
        return sum(unit.cost(costs_of) for unit in self.units) + sum(each.cost(costs_of) for each in self.passes)

    def seconds(self, costs_of: CostsOf, workers: int) -> float:
        """Return what it takes by the clock with so many workers, each busy as soon as there is a unit for it.

        A feature pass is run by one of them while the others wait.
        """
        ends = [0.0] * max(1, min(workers, len(self.units)))
        for unit in self.units:
            heapq.heapreplace(ends, ends[0] + unit.cost(costs_of))
        return max(ends) + sum(each.cost(costs_of) for each in self.passes)


def steps(
    row: Strategy, search: Search, train: Train, counts: Counts, sketch: Callable[[Recipe], Any], flops_of: CostsOf,
    known: set[tuple[Any, ...]],
) -> list[Step]:  # fmt: skip
    """Return the steps of a strategy's run, in order; `known` holds the features that are cached, and is added to."""
    arm = _Arm(row, search, counts, sketch, flops_of, known)
    searched = list(arm.search())
    tried = [recipe for step in searched for unit in step.units for recipe in unit.recipes]
    wins = max(map(arm.whole, tried), key=lambda recipe: arm.unit((recipe,), recipe.epochs).cost(flops_of))
    return [*searched, arm.retrainings("train", wins, train, minimum(train)),
            *(arm.retrainings("race", wins, train, points) for points in rounds(train))]  # fmt: skip


class _Arm:
    def __init__(
        self, row: Strategy, search: Search, counts: Counts, sketch: Callable[[Recipe], Sketch], flops_of: CostsOf,
        known: set[tuple[Any, ...]],
    ) -> None:  # fmt: skip
        self.row, self._search, self._counts = row, search, counts
        self._sketch, self._flops_of, self._known = sketch, flops_of, known
        self._values = first_round(row, search.seed, row.trials)
        self._wholes = {row.proxy_recipe(each): row.full_recipe(each) for each in self._values}

    def whole(self, tried: Recipe) -> Recipe:
        """Return the whole recipe of one that was tried by proxy."""
        return self._wholes.get(tried, tried)

    def search(self) -> Iterator[Step]:
        """Yield the steps of the search: rung by rung, round by round while the budget lasts, and what confirms."""
        row, seen = self.row, set[Any]()
        first = row.full_recipe(row.default_values())
        one, trainings = self.unit((first,), first.epochs), row.budget_in_trainings(self._search)
        passes = self._passes([first], set(), tested=False)
        price = one.cost(self._flops_of) + sum(each.cost(self._flops_of) for each in passes)
        left = float("inf") if trainings is None else (trainings - (row.confirm or 0)) * price
        most = 0.0
        for number, numbers in enumerate(row.rounds(self._search)):
            if number and left < most:
                break
            spent = 0.0
            for step, cost in self._round({n: row.proxy_recipe(self._values[n]) for n in numbers}, seen):
                spent += cost
                yield step
            left, most = left - spent, max(most, spent)
        if row.confirm:
            recipes = [row.full_recipe(values) for values in self._values[: row.confirm]]
            yield self._step("tune", [self.unit((recipe,), recipe.epochs) for recipe in recipes], trials=len(recipes))

    def _round(self, recipes: dict[int, Recipe], seen: set[Any]) -> Iterator[tuple[Step, float]]:
        """Yield the steps of a round, each with the FLOPs of its trials; nothing is trained twice."""
        alive, before = list(recipes), 0
        for rung in (*self.row.rungs, None):  # all of them shorter than any recipe
            ends = {number: until(rung, recipes[number].epochs) for number in alive}
            jobs = jobs_of_rung(Rung("", {number: recipes[number] for number in alive}, ends), self._search.seed)
            units = {(job.recipes, job.until): self.unit(job.recipes, job.until, before) for job in jobs}
            new = [unit for known_by, unit in units.items() if known_by not in seen]
            seen.update(units)
            spent = sum(units[job.recipes, job.until].cost(self._flops_of) for job in jobs)
            yield self._step("tune", new, trials=0 if before else len(recipes)), spent
            before, alive = max(ends.values()), alive[: promoted(len(alive), self._search)]

    def retrainings(self, stage: Stage, recipe: Recipe, train: Train, points: Sequence[Point]) -> Step:
        """Return the step that retrains a recipe at some points."""
        scaled = [(recipe.with_scaled_epochs(f, train.epoch_scaling), f) for f, _ in sorted(points, reverse=True)]
        units = [self.unit((each,), each.epochs, fraction=f, tested=True) for each, f in scaled]
        return self._step(stage, units, tested=True)

    def unit(
        self, recipes: tuple[Recipe, ...], end: int, before: int = 0, fraction: float = 1.0, tested: bool = False
    ) -> Unit:
        """Return a unit that trains from one epoch to another, on a share of the images."""
        recipe, counts = recipes[0], self._counts
        images, in_one_go = max(1, round(fraction * counts.train)), recipe.head == "logistic"
        last = counts.scored if end == recipe.epochs else 1  # views after the last epoch
        looks = last if in_one_go or fraction < 1 else end - before - 1 + last
        fitted = images * counts.views * ITERATIONS if not before and (in_one_go or recipe.probe) else 0
        trained = 0 if in_one_go else (end - before) * images_an_epoch(images, recipe)
        looked = looks * counts.valid + (counts.scored * counts.test if tested else 0)
        return Unit(recipes, trained, looked, fitted, end - before)

    def _step(self, stage: Stage, units: Sequence[Unit], tested: bool = False, trials: int = 0) -> Step:
        recipes = [unit.recipes[0] for unit in units]
        return Step(stage, tuple(units), tuple(self._passes(recipes, self._known, tested)), trials)

    def _passes(self, recipes: Iterable[Recipe], known: set[Any], tested: bool) -> Iterator[FeaturePass]:
        """Yield the feature passes that are lacking, one for all cuts of a network."""
        counts = self._counts
        for recipe in recipes:
            sketch = self._sketch(recipe)
            of = (recipe.backbone, recipe.weights, recipe.image_size, recipe.features)
            wanted = [(sketch.cuts, counts.dev * counts.views, "dev")]
            wanted += [(sketch.cuts[-1:], counts.test * counts.scored, "test")] if tested else []
            for cuts, images, split in wanted:
                lacking = [at for at in cuts if (*of, at, split) not in known]
                if lacking:
                    known.update((*of, at, split) for at in lacking)
                    stored = images * sum(sketch.bytes_stored[at] for at in lacking)
                    yield FeaturePass(recipe, max(lacking), images, stored)
