"""Tune small, confirm large: the best trials of a search by proxy are trained again, with the whole recipe."""

from collections.abc import Sequence

from pipeline.common.hashes import digest
from pipeline.config.strategies import Strategy
from pipeline.search.halving import Evaluate, size_of
from pipeline.search.trials import COMPLETE, CONFIRMED, PRUNED, FinishedTrial, Rung, ranked


def confirm(tried: Sequence[FinishedTrial], row: Strategy, evaluate: Evaluate, objective: str) -> list[FinishedTrial]:
    """Train the best trials with the whole recipe, together and to the end, as trials of their own."""
    chosen = {len(tried) + i: t for i, t in enumerate(ranked(tried, COMPLETE)[: row.confirm])}
    recipes = {number: row.full_recipe(t.space) for number, t in chosen.items()}
    until = {number: recipe.epochs for number, recipe in recipes.items()}
    first = min(chosen)
    size = size_of(recipes[first], chosen[first].recipe)
    outcomes = evaluate(Rung(digest(["confirm", list(recipes.values())]), recipes, until, objective, size))
    return [
        FinishedTrial(n, PRUNED if outcomes[n].failed else CONFIRMED, recipes[n], t.space, outcomes[n], objective,
                      t.number) for n, t in chosen.items()
    ]  # fmt: skip
