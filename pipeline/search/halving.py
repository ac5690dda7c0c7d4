"""Synchronous successive halving (Jamieson and Talwalkar 2016): train a round of trials, drop the worst, repeat."""

import math
from collections.abc import Callable

from pipeline.common.hashes import digest
from pipeline.common.outcome import Outcome
from pipeline.config.recipe import Recipe
from pipeline.config.strategies import Search, Strategy
from pipeline.search.trials import Rung, value_of

Evaluate = Callable[[Rung], dict[int, Outcome]]  # train a rung's trials; outcomes by number


def halve(
    recipes: dict[int, Recipe], row: Strategy, search: Search, evaluate: Evaluate
) -> tuple[dict[int, Outcome], list[int]]:
    """Train a round of trials rung by rung; return their outcomes by number, and which ran to the end."""
    cohort = digest([list(recipes.values()), row.rungs, search.promote_fraction])
    outcomes: dict[int, Outcome] = {}
    alive = list(recipes)
    for rung in (*row.rungs, None):  # None: all epochs
        until = {number: _until(rung, recipes[number].epochs) for number in alive}
        outcomes |= evaluate(Rung(cohort, {number: recipes[number] for number in alive}, until))
        alive = [number for number in alive if not outcomes[number].failed]
        if rung:
            ranked = sorted(alive, key=lambda number: (value_of(outcomes[number]), number))
            alive = sorted(ranked[: _promoted(len(ranked), search)])
        if not alive:
            break
    return outcomes, alive


def whole_trainings(row: Strategy, search: Search) -> float:
    """Return how many whole trainings the trials add up to if none fails and all recipes have equally many epochs."""
    epochs = int(row.recipe["epochs"]) if "epochs" in row.recipe else max(map(int, row.space["epochs"].ends()))
    trained = 0
    for first in range(0, row.trials, row.round_size(search)):
        alive, before = min(row.round_size(search), row.trials - first), 0
        for rung in (*row.rungs, None):
            trained += alive * (_until(rung, epochs) - before)
            alive, before = _promoted(alive, search), _until(rung, epochs)
    return trained / epochs


def _until(rung: int | None, epochs: int) -> int:
    return min(rung or epochs, epochs)


def _promoted(count: int, search: Search) -> int:
    return max(1, math.ceil(search.promote_fraction * count))
