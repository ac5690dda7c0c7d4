"""Which trainings a strategy gets, and when: its minimum, and then more in rounds while it may still matter.

A round gives the same to every strategy that is still in the race. Who is in it follows from the outcomes of the
rounds before alone, each complete: so a run that was killed decides the same when it goes on, and so does any number of
workers.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from pipeline.common.outcome import Outcome
from pipeline.config.params import Train
from pipeline.config.recipe import Recipe

MINIMUM_SEEDS = 3  # the fewest that say something of their scatter; what the band of a point of a curve needs

Point = tuple[float, int]  # share of the training images, seed
Trained = dict[float, dict[int, Outcome]]  # by share of the training images, then by seed
Reason = TypeVar("Reason")


def every_point(train: Train) -> list[Point]:
    """Return the full factorial: every seed with every share of the images."""
    return [(fraction, seed) for fraction in sorted(train.fractions, reverse=True) for seed in train.seeds]


def whole_retrainings(recipe: Recipe, train: Train, points: Iterable[Point]) -> float:
    """Return what these points cost, in trainings of the recipe on all images."""
    scaled = (f * recipe.with_scaled_epochs(f, train.epoch_scaling).epochs for f, _ in points)
    return sum(scaled) / recipe.epochs


def minimum(train: Train) -> list[Point]:
    """Return what every strategy gets: a few seeds, on all images and on the smallest share; without a race, all."""
    if not train.racing:
        return every_point(train)
    ends = {1.0, min(train.fractions)}
    return [(f, seed) for f, seed in every_point(train) if f in ends and seed in train.seeds[:MINIMUM_SEEDS]]


def rounds(train: Train) -> list[list[Point]]:
    """Return what each round gives to each strategy that is in the race.

    The first completes the learning curve, with the seeds of the minimum; and each gives one more seed, on all images.
    """
    if not train.racing:
        return []
    few, more = train.seeds[:MINIMUM_SEEDS], train.seeds[MINIMUM_SEEDS:]
    inner = [f for f in sorted(train.fractions, reverse=True) if min(train.fractions) < f < 1]
    curve = [(fraction, seed) for fraction in inner for seed in few]
    found = [[(1.0, seed)] for seed in more] or [[]]
    found[0] = found[0] + curve
    return [points for points in found if points]


def race(
    names: list[str],
    train: Train,
    do: Callable[[Mapping[str, list[Point]]], Mapping[str, Trained]],
    judge: Callable[[Mapping[str, Trained]], Mapping[str, Reason]],
) -> tuple[dict[str, Trained], dict[str, Reason]]:
    """Give out trainings in rounds; return all of them by strategy, and why some strategies were stopped.

    `do` does the trainings that it is given. `judge` is asked before each round who of those still in the race is
    behind beyond doubt, and why. A strategy that is left alone gets its learning curve completed, and no more seeds:
    there is nothing left for them to decide.
    """
    trained = {name: dict(found) for name, found in do({name: minimum(train) for name in names}).items()}
    stopped: dict[str, Reason] = {}
    for points in rounds(train):
        left = [name for name in names if name not in stopped]
        if len(left) > 1:
            stopped |= judge({name: trained[name] for name in left})
            left = [name for name in left if name not in stopped]
        given = points if len(left) > 1 or len(names) == 1 else [(f, seed) for f, seed in points if f < 1]
        if given:
            for name, found in do(dict.fromkeys(left, given)).items():
                for fraction, by_seed in found.items():
                    trained[name][fraction] = trained[name].get(fraction, {}) | by_seed
    return trained, stopped
