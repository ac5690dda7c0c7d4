"""Spend a strategy's budget: Optuna proposes trials and records them, halving decides which are trained to the end.

The trials of a round are proposed together, from the results of earlier rounds only; a round is recorded once it is
complete, in order of number. So the study does not depend on how many processes trained the trials, or on
interruptions, and never holds an unfinished trial.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import scipy
from filelock import FileLock
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from pipeline.common.code_digest import code_digest
from pipeline.common.errors import UserError, first_line
from pipeline.common.hashes import digest
from pipeline.config.metric_names import LOG_LOSS
from pipeline.config.strategies import Search, Strategy
from pipeline.search.budget import affordable
from pipeline.search.confirmation import confirm
from pipeline.search.halving import Evaluate, halve
from pipeline.search.proposals import Values, distributions, first_round, next_round
from pipeline.search.trials import COMPLETE, CONFIRMED, PRUNED, FinishedTrial


def tune(
    row: Strategy, search: Search, study: optuna.Study, evaluate: Evaluate, objective: str = LOG_LOSS
) -> Iterator[list[FinishedTrial]]:
    """Run a strategy's trials until its budget is spent, resuming from what the study holds; yield round by round.

    Rounds that were finished earlier are yielded too. With a proxy, the last round trains the best trials again, with
    the whole recipe. Raise UserError if no trial reached its last epoch, or if the study cannot be read or written.
    """
    rounds: list[list[FinishedTrial]] = []
    tried: list[FinishedTrial] = []
    for numbers in row.rounds(search):
        if rounds and not affordable(rounds, row, search):
            break
        values = _values_of_round(study, row, search, numbers)
        finished = _train_round(dict(zip(numbers, values)), row, search, evaluate, objective)
        _record_round(study, finished, row)
        rounds.append(finished)
        tried += finished
        yield finished
    _check_some(tried, COMPLETE)
    if row.confirm:
        finished = confirm(tried, row, evaluate, objective)
        _record_round(study, finished, row)
        yield finished
        _check_some(finished, CONFIRMED)


def _check_some(tried: Sequence[FinishedTrial], state: str) -> None:
    if not any(t.state == state for t in tried):
        reasons = sorted({t.outcome.failed for t in tried if t.outcome.failed})
        which = "trials" if state == COMPLETE else "of the best trials, now with the whole recipe,"
        raise UserError(
            f"none of {len(tried)} {which} could be trained to the end: {'; '.join(reasons)}. "
            "Lower the upper end of learning_rate in this strategy's space."
        )


def study_key(row: Strategy, search: Search, identity: dict[str, Any]) -> str:
    """Return a hash of everything that determines the trials of a study; the number of processes is not part of it.

    `identity` is that of the trainings, code and data included.
    """
    own = {"code": code_digest("studies"), "optuna": optuna.__version__, "scipy": scipy.__version__}
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
        reason = first_line(error.__cause__ or error)
        raise UserError(
            f"the study's database (optuna.db) cannot be used: {reason}\nFree space or rights, then run dvc repro "
            "again: finished trials are kept in the units folder beside it. If the file is damaged, delete it."
        ) from error


def _values_of_round(study: optuna.Study, row: Strategy, search: Search, numbers: range) -> list[Values]:
    """Return the values of a round's trials: as the study holds them all, or else proposed from earlier rounds."""
    with _as_user_error():
        known = study.get_trials(deepcopy=False)
    if len(known) >= numbers.stop:
        return [{key: known[n].params[key] for key in sorted(row.space)} for n in numbers]
    if not numbers.start:
        return first_round(row, search.seed, len(numbers))
    return next_round(known[: numbers.start], row, search.seed, numbers)


def _train_round(
    values: dict[int, Values], row: Strategy, search: Search, evaluate: Evaluate, objective: str
) -> list[FinishedTrial]:
    recipes = {number: row.proxy_recipe(chosen) for number, chosen in values.items()}
    outcomes, alive = halve(recipes, row, search, evaluate, objective)
    return [
        FinishedTrial(n, COMPLETE if n in alive else PRUNED, recipes[n], values[n], outcomes[n], objective)
        for n in values
    ]


def _record_round(study: optuna.Study, finished: Sequence[FinishedTrial], row: Strategy) -> None:
    """Add a round's trials to the study, except those that a killed process had already added."""
    with _as_user_error():
        known = len(study.get_trials(deepcopy=False))
        for trial in finished:
            if trial.number >= known:
                study.add_trial(_to_record(trial, row))


def rows_of_trial(axes: int, epochs: int) -> int:
    """Return how many rows of the study's database a trial takes: itself, its values, and its loss by epoch."""
    return 4 + axes + epochs


def _to_record(t: FinishedTrial, row: Strategy) -> FrozenTrial:
    """Return a trial as Optuna keeps it.

    One that failed has no losses there: TPE would prefer it to every trial that was pruned before it failed.
    """
    losses = {} if t.outcome.failed else {epoch.number: epoch.valid[t.objective] for epoch in t.outcome.epochs}
    attributes = {"failed": t.outcome.failed, "confirms": t.confirms}
    return create_trial(
        state=TrialState.PRUNED if t.state == PRUNED else TrialState.COMPLETE,
        value=losses.get(len(losses)),
        params=t.space,
        distributions=distributions(row),
        intermediate_values=losses,
        user_attrs={name: told for name, told in attributes.items() if told not in ("", None)},
    )
