import re
import shutil

import pytest

from pipeline.commands.app import main
from pipeline.commands.dvc_stages import StageStatus
from pipeline.commands.status import summary, table, to_come
from pipeline.execution.so_far import Estimate
from tests.support.imports import ROOT

DONE = StageStatus("prepare", seconds=3.2)
RUNNING = StageStatus("tune@a", running=True, never=True)
NEVER = StageStatus("train@a", never=True, waits=("tune@a",))
CHANGES = ("search.budget", "features.views", "pipeline/training", "data.name")
CHANGED = StageStatus("tune@b", changes=CHANGES, seconds=480)
WAITING = StageStatus("train@b", waits=("tune@b",), seconds=1320)


def test_each_stage_has_a_line():
    times = {"train@a": Estimate(600, "a guess"), "prepare": Estimate(9, "a guess")}
    lines = table([DONE, NEVER, CHANGED, WAITING], times).splitlines()
    assert [re.split(r"  +", line) for line in lines] == [
        ["stage", "what a run would do", "took last", "may take, in CPU time"],
        ["prepare", "nothing: done", "3.2 s"],
        ["train@a", "run it for the first time", "not known", "10 min, by a guess"],
        ["tune@b", "run it again, changed: search.budget, features.views, pipeline/training and 1 more", "8 min"],
        ["train@b", "run it again if what it gets from tune@b changes", "22 min"],
    ]
    assert "1 may take 10 min of processor time" in to_come([DONE, NEVER, CHANGED], times)
    assert to_come([DONE], times) == ""


def test_the_times_of_what_would_run_are_summed_and_missing_ones_are_named():
    assert summary([DONE, CHANGED, WAITING]) == (
        "`uv run dvc repro` would do up to 2 of 3 stages. They took 30 min in all when they last ran."
    )
    assert summary([DONE, NEVER, CHANGED]).endswith(
        "up to 2 of 3 stages. One of them took 8 min when it last ran; of the other no time is known."
    )


def test_what_is_not_known_is_said():
    assert summary([DONE, NEVER]).endswith("How long that takes is not known: no such stage has left its time here.")


def test_where_all_is_done_there_is_nothing_to_do():
    assert summary([DONE]) == "All is done: a run would do nothing. `uv run headstart report` opens the report."


def test_a_run_that_is_going_on_is_reported():
    assert summary([DONE, RUNNING, NEVER]) == "A run is going on, at tune@a; 1 stage is left after that."
    assert summary([RUNNING]) == "A run is going on, at tune@a, its last stage."


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """A copy of what DVC reads of the repository, in which nothing has been run; we are in it."""
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "pipeline", tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    no_scm = true\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_stages_of_this_repository_are_listed_in_order(fresh, capsys):
    assert main(["status"]) == 0
    out = capsys.readouterr().out
    names = [line.split()[0] for line in out.partition("\n\n")[0].splitlines()[1:]]
    assert names[0] == "download@elpv"
    assert names[-2:] == ["compare", "register"]
    assert names.index("prepare") < names.index("tune@frozen") < names.index("train@frozen")
    assert f"would do up to {len(names)} of {len(names)} stages" in out
    assert not (fresh / "dvc.lock").exists()


def test_wrong_settings_are_reported_in_our_words(fresh, capsys):
    text = (fresh / "params.yaml").read_text(encoding="utf-8")
    (fresh / "params.yaml").write_text(text.replace("promote_fraction:", "keep:"), encoding="utf-8")
    assert main(["status"]) == 2
    assert "params.yaml: search.keep: is now called search.promote_fraction" in capsys.readouterr().err
