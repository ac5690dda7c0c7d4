"""Spend a strategy's trials: Optuna proposes and records, synchronous successive halving decides who goes on.

A generation of trials is asked for together, trained to the first rung, and the best share is promoted to the
next (Jamieson and Talwalkar 2016). The sampler is seeded anew for each trial from the trial's number, and a
generation is told in order of number: so the study depends neither on who ran the trials nor on interruptions.
"""

import json
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from filelock import FileLock
from optuna.trial import FrozenTrial, Trial, TrialState

from pipeline.errors import UserError
from pipeline.params import Dimension, Search, Strategy
from pipeline.recipe import Recipe
from pipeline.records import Outcome
from pipeline.seeding import derive

OBJECTIVE = "log_loss"  # on validation images; it tells more of few images than accuracy does
Evaluate = Callable[[int, Recipe, int], Outcome]  # trial number, recipe, epoch to train to


@dataclass(frozen=True)
class Tried:
    """A finished trial."""

    number: int
    state: str  # COMPLETE (trained to the end) or PRUNED
    recipe: Recipe
    space: dict[str, Any]  # the values chosen for this trial
    outcome: Outcome

    @property
    def value(self) -> float:
        """Return the objective after the last epoch; infinite where the loss was no number."""
        return value_of(self.outcome)


def tune(
    row: Strategy,
    search: Search,
    study: optuna.Study,
    evaluate: Evaluate,
    on_tried: Callable[[Tried], object] = lambda tried: None,
) -> list[Tried]:
    """Run a strategy's trials to the end, going on from whatever the study holds; return all, by number.

    `on_tried` hears of each trial when its generation is done, of those done earlier too.

    Raise UserError where no trial of the study reached its last epoch.
    """
    tried: list[Tried] = []
    for first in range(0, row.trials, search.generation):
        numbers = range(first, min(first + search.generation, row.trials))
        trials = [_ask(study, search, row, number) for number in numbers]
        tried += _halve(trials, row, search, evaluate)
        _tell(study, trials, tried[first:])
        for result in tried[first:]:
            on_tried(result)
    if not any(t.state == "COMPLETE" for t in tried):
        reasons = sorted({t.outcome.failed for t in tried if t.outcome.failed})
        raise UserError(
            f"none of {len(tried)} trials could be trained to the end: {'; '.join(reasons)}. "
            "Lower the upper end of learning_rate in this strategy's space."
        )
    return tried


def best(tried: list[Tried]) -> Tried:
    """Return the trial with the lowest objective among those trained to the end; the first of equals."""
    return min((t for t in tried if t.state == "COMPLETE"), key=lambda t: (t.value, t.number))


def open_study(path: Path, name: str) -> optuna.Study:
    """Open a study in an SQLite file, made where there is none."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):  # two processes that make the tables at once get in each other's way
        storage = optuna.storages.RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 60}})
        return optuna.create_study(storage=storage, study_name=name, load_if_exists=True)


def _ask(study: optuna.Study, search: Search, row: Strategy, number: int) -> Trial | FrozenTrial:
    """Return trial `number`: the one in the study, finished or not, or a new one."""
    study.sampler = _sampler(search, number)
    known = study.get_trials(deepcopy=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if number < len(known) and known[number].state.is_finished():
            return known[number]
        trial = _resume(study, known, number) if number < len(known) else study.ask()
        for key, axis in row.space.items():
            # Anew for each key: a trial that was killed between two keys draws the second as it would have.
            study.sampler = _sampler(search, number, key)
            _suggest(trial, key, axis)
    return trial


def _resume(study: optuna.Study, known: list[FrozenTrial], number: int) -> Trial:
    """Take up a trial whose process was killed, maybe with some of its values chosen.

    TPE keeps what it drew jointly beside the trial. Drawn again it would come out otherwise, because the values
    chosen already would count as knowledge about the space.
    """
    old, trial = known[number], Trial(study, known[number]._trial_id)
    drawn = "".join(old.system_attrs[key] for key in sorted(old.system_attrs) if key.startswith("tpe:relative_params"))
    if drawn or old.params:
        trial._relative_params = json.loads(drawn or "{}")
        trial.relative_search_space = {key: axis for t in known for key, axis in t.distributions.items()}
    return trial


def _sampler(search: Search, *number_and_key: int | str) -> optuna.samplers.BaseSampler:
    seed = derive("trial", search.seed, *number_and_key)
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=search.generation)


def _suggest(trial: Trial, key: str, axis: Dimension) -> None:
    if axis.choices:
        trial.suggest_categorical(key, axis.choices)
    else:
        low, high = axis.ends()
        if Recipe.model_fields[key].annotation is int:
            trial.suggest_int(key, int(low), int(high), log=axis.log)
        else:
            trial.suggest_float(key, low, high, log=axis.log)


def _halve(trials: list[Trial | FrozenTrial], row: Strategy, search: Search, evaluate: Evaluate) -> list[Tried]:
    recipes = {t.number: Recipe(**{**row.recipe, **t.params}) for t in trials}
    outcomes: dict[int, Outcome] = {}
    alive = [t.number for t in trials]
    for rung in (*row.rungs, None):  # None: all epochs
        for number in alive:
            outcomes[number] = evaluate(number, recipes[number], _until(rung, recipes[number].epochs))
        alive = [number for number in alive if not outcomes[number].failed]
        if rung:
            ranked = sorted(alive, key=lambda number: (value_of(outcomes[number]), number))
            alive = sorted(ranked[: _promoted(len(ranked), search)])
    states = {t.number: "COMPLETE" if t.number in alive else "PRUNED" for t in trials}
    return [Tried(n, states[n], recipes[n], t.params, outcomes[n]) for t in trials for n in [t.number]]


def _tell(study: optuna.Study, trials: list[Trial | FrozenTrial], tried: list[Tried]) -> None:
    known: dict[int, FrozenTrial] = {t.number: t for t in study.get_trials(deepcopy=False)}
    for trial, result in zip(trials, tried, strict=True):
        if isinstance(trial, FrozenTrial) or known[trial.number].state.is_finished():
            continue
        for epoch in result.outcome.epochs:
            if epoch.number not in known[trial.number].intermediate_values:
                trial.report(epoch.valid[OBJECTIVE], epoch.number)
        if result.outcome.failed:
            trial.set_user_attr("failed", result.outcome.failed)
        if result.state == "COMPLETE":
            study.tell(trial, result.value)
        else:
            study.tell(trial, state=TrialState.PRUNED)


def value_of(outcome: Outcome) -> float:
    """Return the objective after an outcome's last epoch; infinite where the loss stopped being a number."""
    return math.inf if outcome.failed or not outcome.epochs else outcome.epochs[-1].valid[OBJECTIVE]


def planned(row: Strategy, search: Search) -> float:
    """Return how many whole trainings the trials amount to, if none fails and all recipes have as many epochs."""
    epochs = int(row.recipe["epochs"]) if "epochs" in row.recipe else max(map(int, row.space["epochs"].ends()))
    trained = 0
    for first in range(0, row.trials, search.generation):
        alive, before = min(search.generation, row.trials - first), 0
        for rung in (*row.rungs, None):
            trained += alive * (_until(rung, epochs) - before)
            alive, before = _promoted(alive, search), _until(rung, epochs)
    return trained / epochs


def _until(rung: int | None, epochs: int) -> int:
    return min(rung or epochs, epochs)


def _promoted(count: int, search: Search) -> int:
    return max(1, math.ceil(search.keep * count))


def total_flops(tried: list[Tried]) -> int:
    """Return what a search costs: every fit, and each different feature pass once."""
    passes: dict[str, int] = {}
    for t in tried:
        passes.update(t.outcome.cost.passes)
    return sum(passes.values()) + sum(t.outcome.cost.fit_flops for t in tried)


def table(tried: list[Tried]) -> pd.DataFrame:
    """Return a row per trial: number, state, value, epochs trained, FLOPs, and the values chosen."""
    rows = [
        {
            "trial": t.number,
            "state": t.state,
            "value": t.value,
            "epochs": len(t.outcome.epochs),
            "flops": t.outcome.cost.fit_flops,
            **{
                f"valid_{name}": score
                for name, score in (t.outcome.epochs[-1].valid if t.outcome.epochs else {}).items()
            },
            **t.space,
            "failed": t.outcome.failed,
        }
        for t in tried
    ]
    return pd.DataFrame(rows)
