"""Searches whose trainings take no time."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from pipeline.common.outcome import Cost, Epoch, Outcome
from pipeline.config.recipe import Recipe
from pipeline.config.strategies import Search, Strategy
from pipeline.search import study as searching
from pipeline.search.study import open_study
from pipeline.search.trials import FinishedTrial, Rung

SEARCH = Search(seed=0, startup_trials=3, trials_per_round=3, promote_fraction=0.5)
ROW = Strategy(
    trials=5,  # the last round is not a whole one
    rungs=(2,),
    recipe={"backbone": "compact", "weights": "random", "cut": "input", "epochs": 6},
    space={
        "learning_rate": {"low": 1e-4, "high": 1, "log": True},
        "dropout": {"low": 0, "high": 0.6},
        "head": {"choices": ["linear", "mlp"]},
        "batch_size": {"low": 2, "high": 64},
    },
)
Evaluate = Callable[[int, Recipe, int], Outcome]


def evaluate(number: int, recipe: Recipe, until: int) -> Outcome:
    """Return what a training might: the loss falls with the epochs to a depth that the recipe sets."""
    depth = abs(math.log10(recipe.learning_rate) + 2) + recipe.dropout + 0.1 * (recipe.head == "mlp")
    epochs = [Epoch(n, depth, {"log_loss": depth + 1 / n + recipe.batch_size / 640}) for n in range(1, until + 1)]
    passes = {recipe.head: 1000}
    return Outcome(epochs, Cost(passes, 10 * until, predict_flops=1, parameters=1, trainable_parameters=1))


def tune(
    row: Strategy, search: Search, study: optuna.Study, evaluate: Evaluate, on_round=lambda finished: None
) -> list[FinishedTrial]:
    """Spend a budget on trials that are evaluated one by one."""

    def together(rung: Rung) -> dict[int, Outcome]:
        return {number: evaluate(number, recipe, rung.until[number]) for number, recipe in rung.recipes.items()}

    return spent(row, search, study, together, on_round)


def spent(row, search, study, together, on_round=lambda finished: None) -> list[FinishedTrial]:
    """Run a search to its end."""
    tried = []
    for finished in searching.tune(row, search, study, together):
        on_round(finished)
        tried += finished
    return tried


def diverge_if(condition: Callable[[Recipe], bool], after: int = 1) -> Evaluate:
    def some_fail(number: int, recipe: Recipe, until: int) -> Outcome:
        outcome = evaluate(number, recipe, min(until, after) if condition(recipe) else until)
        return Outcome(outcome.epochs, outcome.cost, f"the loss of {recipe.head} became nan" * condition(recipe))

    return some_fail


def interrupted(row: Strategy, study: optuna.Study, evaluate: Evaluate, call: int) -> optuna.Study:
    """Stop a search in its training number `call`; return the study as a new process finds it."""
    calls = itertools.count()

    def die(number: int, recipe: Recipe, until: int) -> Outcome:
        if next(calls) == call:
            raise KeyboardInterrupt
        return evaluate(number, recipe, until)

    with pytest.raises(KeyboardInterrupt):
        tune(row, SEARCH, study, die)
    return reopen(file_of(study))


def file_of(study: optuna.Study) -> Path:
    """Return the file that a study is kept in."""
    return Path(study._storage._backend.engine.url.database)  # type: ignore[attr-defined]


def reopen(path: Path) -> optuna.Study:
    """Open a study as a new process would."""
    return open_study(path, "a study")


def recorded(study: optuna.Study) -> list[Any]:
    """Return all that a study says of its trials, but for the time of day."""
    return [
        (t.number, t.state.name, t.params, t.distributions, t.intermediate_values, t.values, t.user_attrs)
        for t in study.get_trials()
    ]
