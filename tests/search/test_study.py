import math
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from pipeline.common.errors import UserError
from pipeline.common.outcome import Epoch, Outcome
from pipeline.common.process_pool import Executor
from pipeline.search.study import open_study, study_key
from pipeline.search.trials import Rung, best, table
from tests.support import tiny
from tests.support.imports import counted_modules
from tests.support.searching import (
    ROW,
    SEARCH,
    diverge_if,
    evaluate,
    file_of,
    interrupted,
    recorded,
    reopen,
    spent,
    tune,
)


@contextmanager
def killed_after(writes: int) -> Iterator[None]:
    """Stop the process, as it were, before so many and one more rows are written to a database."""
    count = 0

    def kill(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        nonlocal count
        count += statement.startswith(("INSERT", "UPDATE"))
        if count > writes:
            raise KeyboardInterrupt

    event.listen(Engine, "before_cursor_execute", kill)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", kill)


def test_the_same_study_twice_has_the_same_trials(fresh, uninterrupted):
    study = fresh()
    assert tune(ROW, SEARCH, study, evaluate) == uninterrupted[0]
    assert recorded(study) == uninterrupted[1]


def test_the_order_in_which_a_space_is_written_changes_nothing(fresh, uninterrupted):
    turned = ROW.model_copy(update={"space": dict(reversed(ROW.space.items()))})
    assert study_key(turned, SEARCH, {}) == study_key(ROW, SEARCH, {})
    assert [tried.space for tried in tune(turned, SEARCH, fresh(), evaluate)] == [t.space for t in uninterrupted[0]]


def test_another_seed_gives_other_trials(fresh, uninterrupted):
    other = tune(ROW, SEARCH.model_copy(update={"seed": 1}), fresh(), evaluate)
    assert [t.space for t in other] != [t.space for t in uninterrupted[0]]


def test_later_rounds_learn_from_earlier_ones(fresh):
    def upside_down(number, recipe, until):
        epochs = [Epoch(n, 0.0, {"log_loss": -e.valid["log_loss"]}) for n, e in
                  enumerate(evaluate(number, recipe, until).epochs, 1)]  # fmt: skip
        return Outcome(epochs, evaluate(number, recipe, until).cost)

    plain, inverted = tune(ROW, SEARCH, fresh(), evaluate), tune(ROW, SEARCH, fresh(), upside_down)
    assert [t.space for t in plain[:3]] == [t.space for t in inverted[:3]]
    assert [t.space for t in plain[3:]] != [t.space for t in inverted[3:]]


@pytest.mark.parametrize("call", [0, 3, 5, 7])  # of 8: 3 + 2, 2 + 1
def test_a_study_killed_in_any_training_goes_on_to_the_same_trials(call, fresh, uninterrupted):
    study = interrupted(ROW, fresh(), evaluate, call)
    assert tune(ROW, SEARCH, study, evaluate) == uninterrupted[0]
    assert recorded(study) == uninterrupted[1]


@pytest.mark.parametrize("writes", [17, 25, 40])
def test_a_study_killed_again_and_again_between_writes_goes_on_to_the_same_trials(writes, fresh, uninterrupted):
    path, deaths = file_of(fresh()), 0
    while True:
        study = reopen(path)
        try:
            with killed_after(writes):
                tried = tune(ROW, SEARCH, study, evaluate)
            break
        except KeyboardInterrupt:
            deaths += 1
            assert deaths < 200
    assert deaths > 0
    assert tried == uninterrupted[0]
    assert recorded(study) == uninterrupted[1]


def test_a_trial_heard_of_is_recorded(fresh):
    study, heard = fresh(), []

    def listen(done):
        for t in done:
            heard.append((t.number, t.state, study.get_trials()[t.number].state.name))

    tried = tune(ROW, SEARCH, study, evaluate, listen)
    assert heard == [(t.number, t.state, t.state) for t in tried]
    heard.clear()
    tune(ROW, SEARCH, study, evaluate, listen)
    assert len(heard) == ROW.trials


def test_a_finished_study_gains_no_trial(fresh):
    study = fresh()
    tune(ROW, SEARCH, study, evaluate)
    before = recorded(study)
    tune(ROW, SEARCH, study, evaluate)
    assert recorded(study) == before


def test_pruned_trials_keep_their_scores(uninterrupted):
    tried, trials = uninterrupted
    assert {state for _, state, *_ in trials} == {"COMPLETE", "PRUNED"}
    for t, (_, state, params, _, intermediate, values, _) in zip(tried, trials, strict=True):
        scores = {epoch.number: epoch.valid["log_loss"] for epoch in t.outcome.epochs}
        assert (state, params, intermediate) == (t.state, t.space, scores)
        assert values == [t.value if state == "COMPLETE" else scores[2]]


def test_a_training_that_diverges_is_recorded_with_its_reason_and_the_study_goes_on(
    fresh,
):
    study = fresh()
    tried = tune(ROW, SEARCH, study, diverge_if(lambda recipe: recipe.head == "mlp"))
    failed = [t for t in tried if t.outcome.failed]
    assert 0 < len(failed) < len(tried) == ROW.trials
    for t in failed:
        trial = study.get_trials()[t.number]
        assert (t.state, trial.state.name) == ("PRUNED", "PRUNED")
        assert trial.user_attrs["failed"] == "the loss of mlp became nan"
        assert t.value == math.inf
    assert best(tried).recipe.head == "linear"
    assert "the loss of mlp became nan" in set(table(tried)["failed"])


def test_a_trial_that_fails_before_its_first_score_is_no_obstacle(fresh):
    tried = tune(ROW, SEARCH, fresh(), diverge_if(lambda recipe: recipe.head == "mlp", after=0))
    assert next(t for t in tried if t.outcome.failed).outcome.epochs == []
    assert len(table(tried)) == ROW.trials


def test_a_study_in_which_everything_fails_says_what_to_do(fresh):
    study = fresh()
    with pytest.raises(UserError, match=r"none of 5 trials .* became nan.*learning_rate"):
        tune(ROW, SEARCH, study, diverge_if(lambda recipe: True))
    assert {t.state.name for t in study.get_trials()} == {"PRUNED"}
    assert len(study.get_trials()) == 5


def test_no_trial_is_ever_unfinished_in_the_database(fresh):
    study = fresh()
    seen = []

    def look(number, recipe, until):
        seen.extend(trial.state.name for trial in study.get_trials())
        return evaluate(number, recipe, until)

    tune(ROW, SEARCH, study, look)
    assert set(seen) == {"COMPLETE", "PRUNED"}


def test_a_round_killed_while_it_was_recorded_is_recorded_once(fresh, uninterrupted):
    study = fresh()
    with pytest.raises(KeyboardInterrupt), killed_after(20):
        tune(ROW, SEARCH, study, evaluate)
    study = reopen(file_of(study))
    assert 0 < len(study.get_trials()) < 3
    assert tune(ROW, SEARCH, study, evaluate) == uninterrupted[0]
    assert recorded(study) == uninterrupted[1]


def test_a_database_that_cannot_be_written_is_explained(fresh):
    study = fresh()

    def refuse(connection, cursor, statement, *rest):
        if statement.startswith("INSERT"):
            raise sqlite3.OperationalError("database or disk is full")

    event.listen(Engine, "before_cursor_execute", refuse)
    try:
        with pytest.raises(UserError, match=r"optuna\.db.* disk is full"):
            tune(ROW, SEARCH, study, evaluate)
    finally:
        event.remove(Engine, "before_cursor_execute", refuse)


def test_a_damaged_database_is_explained(tmp_path):
    (tmp_path / "optuna.db").write_bytes(b"not a database" * 100)
    with pytest.raises(UserError, match=r"optuna\.db.*not a database"):
        open_study(tmp_path / "optuna.db", "a study")


def test_a_study_s_name_follows_from_all_that_its_trials_do_and_not_from_the_number_of_workers():
    key = study_key(ROW, SEARCH, {"data": "x"})
    assert study_key(ROW, SEARCH.model_copy(update={"workers": 9}), {"data": "x"}) == key
    others = [
        study_key(ROW.model_copy(update={"trials": 6}), SEARCH, {"data": "x"}),
        study_key(ROW, SEARCH.model_copy(update={"promote_fraction": 0.4}), {"data": "x"}),
        study_key(ROW, SEARCH, {"data": "y"}),
    ]
    assert len({key, *others}) == 4


@pytest.mark.parametrize(("place", "other"), [("code_digest", {"studies": "other code"}.__getitem__),
                                              ("optuna.__version__", "0.1")])  # fmt: skip
def test_a_study_s_name_follows_the_code_that_proposes_and_prunes_and_the_version_of_optuna(place, other, monkeypatch):
    before = study_key(ROW, SEARCH, {})
    monkeypatch.setattr(f"pipeline.search.study.{place}", other)
    assert study_key(ROW, SEARCH, {}) != before


def test_the_code_that_proposes_prunes_and_ranks_trials_is_in_the_key_of_a_study():
    assert {f"search/{name}" for name in ("study", "halving", "trials")} <= counted_modules("studies")


@pytest.mark.slow
def test_ten_thousand_trials_through_32_workers_meet_no_lock(tmp_path):
    study, heard, stop = open_study(tmp_path / "optuna.db", "many"), [], threading.Event()
    seen: list[int] = []

    def watch() -> None:  # as a dashboard would, in its own connections
        while not stop.wait(0.05):
            with closing(sqlite3.connect(tmp_path / "optuna.db")) as database:
                seen.append(database.execute("select count(*) from trials").fetchone()[0])

    row = ROW.model_copy(
        update={"trials": 10_000, "startup_trials": 5_000, "trials_per_round": 5_000,
                "space": {"learning_rate": ROW.space["learning_rate"]}}
    )  # fmt: skip
    with Executor(32, tiny.context, tiny.trial) as executor:

        def train(rung: Rung) -> dict[int, Outcome]:
            jobs = [(number, recipe.learning_rate, rung.until[number]) for number, recipe in rung.recipes.items()]
            done = executor.map(jobs, lambda *event: heard.append(event[1]))
            return {job[0]: Outcome.from_dict(outcome) for job, outcome in zip(jobs, done)}

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            tried = spent(row, SEARCH, study, train)
        finally:
            stop.set()
            watcher.join()
        assert len(executor._pool) == 32
    assert [t.number for t in tried] == list(range(10_000))
    assert set(heard) == set(range(10_000))
    states = [trial.state.name for trial in open_study(tmp_path / "optuna.db", "many").get_trials()]
    assert (states.count("COMPLETE"), states.count("PRUNED")) == (5_000, 5_000)
    assert seen == sorted(seen)
    assert len(set(seen)) > 100, "nobody looked while trials were written"
