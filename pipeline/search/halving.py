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
    recipes: dict[int, Recipe], row: Strategy, search: Search, evaluate: Evaluate, objective: str
) -> tuple[dict[int, Outcome], list[int]]:
    """Train a round of trials rung by rung; return their outcomes by number, and which ran to the end."""
    cohort = digest([list(recipes.values()), row.rungs, search.promote_fraction])
    outcomes: dict[int, Outcome] = {}
    alive = list(recipes)
    for rung in (*row.rungs, None):  # None: all epochs
        ends = {number: until(rung, recipes[number].epochs) for number in alive}
        outcomes |= evaluate(Rung(cohort, {number: recipes[number] for number in alive}, ends, objective))
        alive = [number for number in alive if not outcomes[number].failed]
        if rung:
            ranked = sorted(alive, key=lambda number: (value_of(outcomes[number], objective), number))
            alive = sorted(ranked[: promoted(len(ranked), search)])
        if not alive:
            break
    return outcomes, alive


def whole_trainings(row: Strategy, search: Search) -> float:
    """Return how many trainings of the default recipe, by a proxy where there is one, the search comes to.

    This is if none fails and all recipes have equally many epochs; a training that confirms counts as `size_of` says.
    """
    default = row.default_values()
    epochs, trained = row.proxy_recipe(default).epochs, 0
    for numbers in row.rounds(search):
        alive, before = len(numbers), 0
        for rung in (*row.rungs, None):
            trained += alive * (until(rung, epochs) - before)
            alive, before = promoted(alive, search), until(rung, epochs)
    return trained / epochs + (row.confirm or 0) * size_of(row.full_recipe(default), row.proxy_recipe(default))


def size_of(recipe: Recipe, proxy: Recipe) -> float:
    """Return how many trainings of its proxy a training costs, roughly: by its epochs and the pixels of an image."""
    return recipe.epochs / proxy.epochs * (recipe.image_size / proxy.image_size) ** 2


def until(rung: int | None, epochs: int) -> int:
    """Return the epoch that a rung trains to; None is the last one."""
    return min(rung or epochs, epochs)


def promoted(count: int, search: Search) -> int:
    """Return how many of so many trials go on to the next rung."""
    return max(1, math.ceil(search.promote_fraction * count))
