"""optuna-dashboard shows the studies that tune keeps."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from optuna.trial import TrialState

from pipeline.search.study import open_study
from tests.support.imports import ROOT

pytest.importorskip("optuna_dashboard", reason="`uv sync` installs it with the group dev")
START = "from optuna_dashboard._cli import main; main()"  # what the command `optuna-dashboard` runs


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A study with one trial that is complete and one that was dropped, two epochs and one."""
    path = tmp_path / ".headstart" / "optuna.db"
    study = open_study(path, "frozen-0")
    for values in ([0.7, 0.5], [0.9]):
        trial = study.ask()
        trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
        for epoch, value in enumerate(values, 1):
            trial.report(value, epoch)
        if len(values) == 2:
            study.tell(trial, values[-1])
        else:
            study.tell(trial, state=TrialState.PRUNED)
    return path


@pytest.fixture
def address(database: Path) -> Any:
    """The address of a dashboard that runs on the study."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [f"sqlite:///{database}", "--host", "127.0.0.1", "--port", str(port), "--server", "wsgiref"]
    process = subprocess.Popen([sys.executable, "-c", START, *words], cwd=database.parent, stderr=subprocess.DEVNULL)
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()


def get(address: str) -> Any:
    """Return a JSON answer; wait for a server that is starting."""
    latest = time.monotonic() + 120
    while True:
        try:
            with urlopen(address, timeout=60) as answer:
                return json.load(answer)
        except URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError) or time.monotonic() > latest:
                raise
            time.sleep(0.1)


def test_the_dashboard_shows_every_trial_with_its_epochs(address):
    (study,) = get(f"{address}/api/studies")["study_summaries"]
    assert study["study_name"] == "frozen-0"
    trials = get(f"{address}/api/studies/{study['study_id']}")["trials"]
    assert [trial["state"] for trial in trials] == ["Complete", "Pruned"]
    shown = [[(point["step"], point["value"]) for point in trial["intermediate_values"]] for trial in trials]
    assert shown == [[(1, 0.7), (2, 0.5)], [(1, 0.9)]]


def test_the_documents_give_the_command_for_where_tune_keeps_its_studies():
    command = "uv run optuna-dashboard sqlite:///.headstart/optuna.db"
    assert command in (ROOT / "docs/models.md").read_text(encoding="utf-8").splitlines()
    dvc = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    assert "--work .headstart" in dvc
