"""What MLflow's own pages show, in a real browser: the table of strategies, and the registered model."""

import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before mlflow loads: tests are offline

import pytest
from mlflow import MlflowClient

from pipeline.report.experiment_note import COSTS, RunIds, experiment_note, in_table
from pipeline.tracking import logged_models
from pipeline.tracking.arm_runs import ArmTracker
from pipeline.tracking.experiments import Dataset
from pipeline.verdict.advice import advise
from tests.support import browser
from tests.support.example import comparison
from tests.support.served import tiny_model
from tests.support.servers import _wait, free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser.found() is None, reason="no Chromium is installed: apt-get install chromium"),
]
ARMS = {"scratch": 0.75, "finetune": 0.9375, "frozen": 0.875}
CARD = "An image classifier: it labels a picture as low or top."


@pytest.fixture
def experiment(mlflow_template, tmp_path, monkeypatch):
    """An experiment with three arms, one training below each, and a registered model."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    (tmp_path / "mlflow.db").write_bytes(mlflow_template.read_bytes())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    tracker, client = ArmTracker(tmp_path, "tiny", Dataset("set", "abc", "raw")), MlflowClient(uri, uri)
    arms, stages = tracker.experiments
    compared = comparison()
    for name, score in ARMS.items():
        run = client.create_run(arms, run_name=name, tags={"stage": "arm", "verdict": "undecided"}).info.run_id
        for metric in [*(f"test_{compared.metric}{end}" for end in ("", "_low", "_high")), *COSTS]:
            client.log_metric(run, metric, 4096 if metric in COSTS else score)
        child = client.create_run(arms, run_name=f"{name} seed 1", tags={"stage": "train", "mlflow.parentRunId": run})
        client.log_metric(child.info.run_id, f"test_{compared.metric}", 1)
        for each in (run, child.info.run_id):
            client.set_terminated(each)
    model = logged_models.find_or_log(client, run, tiny_model(tmp_path / "model"), "frozen", {})
    client.create_registered_model("tiny", description="Classifiers of a set.")
    client.create_model_version("tiny", f"models:/{model}", model_id=model, description=CARD)
    client.set_registered_model_alias("tiny", "champion", "1")
    note = experiment_note(
        compared, advise(compared), "tiny", RunIds(arms, stages, [run], run, "tiny-stages"), "r.html"
    )
    tracker.describe(note, in_table(compared.metric))
    link = note.split("[The table of strategies](")[1].split(")")[0]
    return SimpleNamespace(root=tmp_path, uri=uri, link=link)


@pytest.fixture
def address(experiment):
    port, log = free_port(), experiment.root / "log"
    words = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port), "--backend-store-uri"]
    with log.open("wb") as out:
        process = subprocess.Popen([*words, experiment.uri], stdout=out, stderr=out, start_new_session=True,
                                   env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"})  # fmt: skip
        try:
            _wait(f"http://127.0.0.1:{port}/health", process, log)
            yield f"http://127.0.0.1:{port}/"
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def tab(tmp_path):
    opened = browser.Browser(browser.found(), tmp_path / "profile")
    yield opened
    opened.close()


def text_of(tab, address, words):
    """Return the text of a page once it has these words."""
    tab.show(1600)
    tab.open("about:blank")
    tab.open(address)
    latest = time.monotonic() + 120
    while any(word not in (text := tab.run("document.body.innerText")) for word in words):
        assert time.monotonic() < latest, text
        time.sleep(0.5)
    return text


def test_the_table_ranks_the_strategies_and_the_registered_model_shows_alias_and_card(experiment, address, tab):
    shown = text_of(tab, address + experiment.link, ["3 matching runs", "0.9375", "0.875", "0.75", "4096", "verdict"])
    places = [shown.index(f"\n{name}\n") for name in ("finetune", "frozen", "scratch")]
    assert places == sorted(places)
    assert "seed 1" not in shown
    assert all(cost in shown for cost in COSTS)
    model = text_of(tab, f"{address}#/models/tiny", ["Classifiers of a set.", "champion", "Version 1"])
    assert "champion" in model
    assert CARD in text_of(tab, f"{address}#/models/tiny/versions/1", [CARD])
