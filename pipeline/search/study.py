"""Spend a strategy's budget: Optuna proposes trials and records them, halving decides which are trained to the end.

The trials of a round are proposed together. Each comes from a sampler that is seeded by the trial's number and has seen
the results of earlier rounds only; a round is recorded once it is complete, in order of number. So the study does not
depend on how many processes trained the trials, or on interruptions, and never holds an unfinished trial.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from pipeline.common.code_digest import code_digest
from pipeline.common.errors import UserError
from pipeline.common.hashes import digest
from pipeline.common.seeding import derive
from pipeline.config.recipe import Recipe
from pipeline.config.strategies import Dimension, Search, Strategy
from pipeline.search.halving import Evaluate, halve
from pipeline.search.trials import OBJECTIVE, FinishedTrial, total_flops


def tune(row: Strategy, search: Search, study: optuna.Study, evaluate: Evaluate) -> Iterator[list[FinishedTrial]]:
    """Run a strategy's trials until its budget is spent, resuming from what the study holds; yield round by round.

    Rounds that were finished earlier are yielded too. Raise UserError if no trial reached its last epoch, or if the
    study cannot be read or written.
    """
    tried: list[FinishedTrial] = []
    while len(tried) < row.trials and _affordable(tried, row, search):
        count = min(row.round_size(search), row.trials - len(tried))
        trials = _propose_round(study, search, row, len(tried), count)
        finished = _train_round(trials, row, search, evaluate)
        _record_round(study, trials, finished)
        tried += finished
        yield finished
    if not any(t.state == "COMPLETE" for t in tried):
        reasons = sorted({t.outcome.failed for t in tried if t.outcome.failed})
        raise UserError(
            f"none of {len(tried)} trials could be trained to the end: {'; '.join(reasons)}. "
            "Lower the upper end of learning_rate in this strategy's space."
        )


def _affordable(tried: list[FinishedTrial], row: Strategy, search: Search) -> bool:
    """Return whether the budget allows another round, if it costs no more than the most expensive one so far.

    The first round always runs: without it there is no winner.
    """
    budget, size = row.budget_flops(search), row.round_size(search)
    if budget is None or not tried:
        return True
    rounds = [tried[first : first + size] for first in range(0, len(tried), size)]
    most = max(sum(t.outcome.cost.fit_flops for t in trials) for trials in rounds)
    return total_flops(tried) + most <= budget


def study_key(row: Strategy, search: Search, identity: dict[str, Any]) -> str:
    """Return a hash of everything that determines the trials of a study; the number of processes is not part of it.

    `identity` is that of the trainings, code and data included.
    """
    own = {"code": code_digest("studies"), "optuna": optuna.__version__}
    return digest({"row": row, "search": search.model_dump(exclude={"workers"}), "study": own, **identity})


def open_study(path: Path, name: str) -> optuna.Study:
    """Open a study in an SQLite file, which is created if need be; raise UserError if it cannot be."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with _as_user_error(), FileLock(_folder(path) / f"{path.name}.lock"):  # creating the tables twice at once fails
        storage = optuna.storages.RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 60}})
        return optuna.create_study(storage=storage, study_name=name, load_if_exists=True)


def _folder(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.parent


@contextmanager
def _as_user_error() -> Iterator[None]:
    """Turn errors of the study's database into a UserError."""
    try:
        yield
    except (optuna.exceptions.OptunaError, SQLAlchemyError, OSError) as error:
        reason = str(error.__cause__ or error).splitlines()[0][:200]
        raise UserError(
            f"the study's database (optuna.db) cannot be used: {reason}\nFree space or rights, then run dvc repro "
            "again: finished trials are kept in the units folder beside it. If the file is damaged, delete it."
        ) from error


def _propose_round(study: optuna.Study, search: Search, row: Strategy, first: int, count: int) -> list[FrozenTrial]:
    """Return trials `first` to `first + count`: those that the study holds, and new ones based on earlier rounds.

    New ones are proposed by a copy in memory, so that the study never holds an unfinished trial.
    """
    with _as_user_error():
        known = study.get_trials(deepcopy=False)
    found = known[first : first + count]
    if len(found) == count:
        return found
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        copy = optuna.create_study()
        copy.add_trials(known[:first])
        for number in range(first, first + count):
            seed = derive("trial", search.seed, number)
            copy.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=row.round_size(search))
            trial = copy.ask()
            for key in sorted(row.space):  # in one order however the space is written: to DVC, order changes nothing
                _suggest(trial, key, row.space[key])
    return [*found, *copy.get_trials(deepcopy=False)[first + len(found) :]]


def _suggest(trial: Trial, key: str, axis: Dimension) -> None:
    if axis.choices:
        trial.suggest_categorical(key, axis.choices)
    else:
        low, high = axis.ends()
        if Recipe.model_fields[key].annotation is int:
            trial.suggest_int(key, int(low), int(high), log=axis.log)
        else:
            trial.suggest_float(key, low, high, log=axis.log)


def _train_round(trials: list[FrozenTrial], row: Strategy, search: Search, evaluate: Evaluate) -> list[FinishedTrial]:
    recipes = {t.number: Recipe(**{**row.recipe, **t.params}) for t in trials}
    outcomes, alive = halve(recipes, row, search, evaluate)
    states = {number: "COMPLETE" if number in alive else "PRUNED" for number in recipes}
    return [FinishedTrial(n, states[n], recipes[n], t.params, outcomes[n]) for t in trials for n in [t.number]]


def _record_round(study: optuna.Study, trials: list[FrozenTrial], finished: list[FinishedTrial]) -> None:
    """Add a round's trials to the study, except those that a killed process had already added."""
    with _as_user_error():
        known = len(study.get_trials(deepcopy=False))
        for trial, result in zip(trials, finished, strict=True):
            if trial.number >= known:
                study.add_trial(_to_record(trial, result))


def _to_record(trial: FrozenTrial, result: FinishedTrial) -> FrozenTrial:
    values = {epoch.number: epoch.valid[OBJECTIVE] for epoch in result.outcome.epochs}
    complete = result.state == "COMPLETE"
    return create_trial(
        state=TrialState.COMPLETE if complete else TrialState.PRUNED,
        value=result.value if complete else values.get(len(values)),
        params=trial.params,
        distributions=trial.distributions,
        intermediate_values=values,
        user_attrs={"failed": result.outcome.failed} if result.outcome.failed else {},
    )
