import logging
import os
import warnings

import pytest

from pipeline.common.outcome import Epoch
from pipeline.common.progress import Progress, TrialProgress, one_thread_pool, quiet


def epochs(bar, trial, *numbers):
    for number in numbers:
        bar.on_event("epoch", trial, Epoch(number, 0.1, {}))


def last_line(capsys):
    return capsys.readouterr().err.strip().splitlines()[-1].rsplit("\r", 1)[-1]


def test_every_thread_pool_gets_one_size():
    one_thread_pool(3)
    assert [os.environ[f"{name}_NUM_THREADS"] for name in ("OMP", "OPENBLAS", "MKL")] == ["3", "3", "3"]


def test_waiting_threads_sleep_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    one_thread_pool(1)
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"


def test_quiet_leaves_what_the_user_set(monkeypatch):
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")
    with warnings.catch_warnings():
        quiet()
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "false"
    assert logging.getLogger("alembic").level == logging.ERROR


def test_quiet_silences_others_and_not_us(capsys):
    with warnings.catch_warnings(record=True) as caught:
        warnings.resetwarnings()
        quiet()
        warnings.warn_explicit("theirs", UserWarning, "x.py", 1, module="mlflow.store.db")
        warnings.warn_explicit("theirs", UserWarning, "x.py", 1, module="torch")
        warnings.warn_explicit("ours", UserWarning, "x.py", 1, module="pipeline.data.image_set")
    assert [str(w.message) for w in caught] == ["ours"]


def test_progress_ends_at_the_total(capsys):
    with Progress("reading", 4, "image") as bar:
        for _ in range(4):
            bar.step()
    assert "reading: 100%" in last_line(capsys)


def test_a_training_is_one_whole_however_many_epochs_it_has(capsys):
    with TrialProgress("tune", 2, 2) as bar:
        bar.expect({0: 3, 1: 7})
        for number, whole in enumerate((3, 7)):
            epochs(bar, number, *range(1, whole + 1))
            bar.end(number, whole, 0.5)
    line = last_line(capsys)
    assert "tune: 100%" in line
    assert "trial 2 of 2, epoch 7/7" in line


def test_trials_side_by_side_are_each_counted(capsys):
    with TrialProgress("tune", 2, 2) as bar:
        bar.expect({0: 4, 1: 2})
        for epoch in (1, 2):
            epochs(bar, 0, epoch)
            epochs(bar, 1, epoch)
    assert "tune:  75%" in last_line(capsys)


def test_a_trial_that_goes_on_from_a_rung_is_counted_once(capsys):
    with TrialProgress("tune", 1, 1) as bar:
        bar.expect({0: 4})
        epochs(bar, 0, 1, 2)
        bar.end(0, 2, 0.5)
        epochs(bar, 0, 3)
    assert "tune:  75%" in last_line(capsys)


def test_an_earlier_rung_read_back_again_takes_nothing_away(capsys):
    with TrialProgress("tune", 2, 2) as bar:
        bar.expect({0: 4})
        for until in (4, 2):
            bar.end(0, until, 0.5)
    assert "tune:  50%" in last_line(capsys)


def test_what_is_read_back_counts_as_done(capsys):
    with TrialProgress("tune", 2, 2) as bar:
        bar.expect({0: 4})
        bar.end(0, 4, 0.5)
    assert "tune:  50%" in last_line(capsys)


def test_a_feature_pass_shows_how_far_it_is(capsys):
    with TrialProgress("tune", 2, 2) as bar:
        for _ in range(20):
            bar.on_event("images", 64)
    assert "feature pass, 1,280 images" in last_line(capsys)


@pytest.mark.parametrize(("values", "shown"), [((0.5, 0.25, 0.4), "best 0.250"), ((float("inf"),), None)])
def test_the_best_value_so_far_is_shown_once_there_is_one(capsys, values, shown):
    with TrialProgress("tune", 9, 9) as bar:
        bar.expect(dict.fromkeys(range(9), 2))
        for number, value in enumerate(values):
            bar.end(number, 2, value)
        epochs(bar, len(values), 1)
    line = last_line(capsys)
    assert shown in line if shown else "best" not in line
