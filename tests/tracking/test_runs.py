import json
import math
import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from itertools import count

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before mlflow loads: tests are offline

import pytest
from mlflow import MlflowClient
from mlflow.server import app, handlers
from werkzeug.serving import make_server

from pipeline.common.errors import UserError
from pipeline.common.outcome import Epoch
from pipeline.tracking.experiments import Dataset
from pipeline.tracking.runs import KEY, OWNER, MlflowTracker, RunRecord

DATA = Dataset("tiny", "0123abcd", 'a "quoted" \\ folder')
EPOCHS = [Epoch(n, 1 / n, {"accuracy": n / 10, "log_loss": 2 / n}) for n in (1, 2)]


@pytest.fixture
def track(client, tmp_path):
    """A function that makes a tracker, as each process makes its own."""
    return lambda data=DATA: MlflowTracker(tmp_path, "tiny", data)


@pytest.fixture
def served(tracking_uri, tmp_path, monkeypatch):
    """A client of an MLflow server that has the database; MLFLOW_TRACKING_URI points at it."""
    for store in ("_tracking_store", "_model_registry_store", "_artifact_repo"):
        monkeypatch.setattr(handlers, store, None)
    handlers.initialize_backend_stores(tracking_uri, tracking_uri, (tmp_path / "artifacts").as_uri())
    server = make_server("127.0.0.1", 0, app)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    uri = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    yield MlflowClient(uri)
    server.shutdown()
    server.server_close()


def runs(client):
    """Return all runs that are not deleted, by name."""
    found = client.search_runs([client.get_experiment_by_name(name).experiment_id for name in ("tiny", "tiny-stages")])
    assert len({run.info.run_name for run in found}) == len(found), "a run is there twice"
    return {run.info.run_name: run for run in found}


def record(name="a", epochs=EPOCHS, params=None):
    params = params or {"epochs": 2, "cut": "head"}
    return RunRecord(name, f"record {name}", params, epochs, {"flops": 5}, {"seed": "3"})


def log_stage(tracker, tmp_path, records=("a", "b"), key="stage-1"):
    file = tmp_path / "trials.csv"
    file.write_text("trial\n")
    with tracker.stage(key, "tune frozen", {"stage": "tune"}) as parent:
        tracker.children(parent, [record(name) for name in records])
        tracker.finish(parent, {"best": 0.25, "worst": math.inf}, [file])
    return parent


def everything(client):
    found = runs(client)
    histories = {
        (name, key): [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, key)]
        for name, run in found.items()
        for key in run.data.metrics
    }
    return {name: (run.info.run_id, run.info.status, run.data.params) for name, run in found.items()}, histories


def test_a_stage_and_its_records_are_logged_with_all_that_leads_back_to_them(track, client, tmp_path):
    parent = log_stage(track(), tmp_path)
    found = runs(client)
    assert set(found) == {"tune frozen", "record a", "record b"}
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    record = found["record a"]
    assert record.data.params == {"epochs": "2", "cut": "head"}
    assert record.data.metrics == {
        "train_log_loss": 0.5, "valid_accuracy": 0.2, "valid_log_loss": 1.0, "flops": 5.0
    }  # fmt: skip
    history = client.get_metric_history(record.info.run_id, "valid_accuracy")
    assert [(m.step, m.value) for m in history] == [(1, 0.1), (2, 0.2)]
    tags = record.data.tags
    assert (tags["mlflow.parentRunId"], tags["seed"], tags["data"]) == (parent, "3", "0123abcd")
    assert {"mlflow.source.name", "mlflow.source.type", "mlflow.user", "dvc_lock", KEY, OWNER} <= set(tags)
    for run in found.values():
        (data,) = run.inputs.dataset_inputs
        assert (data.dataset.name, data.dataset.digest) == ("tiny", "0123abcd")
        assert json.loads(data.dataset.source) == {"uri": DATA.source}
    assert found["tune frozen"].data.metrics == {"best": 0.25}
    assert [file.path for file in client.list_artifacts(parent)] == ["trials.csv"]


def test_a_server_gets_the_same_as_a_database_and_the_terminal_stays_quiet(served, tmp_path, capfd):
    first = log_stage(MlflowTracker(tmp_path, "tiny", DATA), tmp_path)
    before = everything(served)
    assert [point for point, _ in before[1]["record b", "valid_accuracy"]] == [1, 2]
    assert {status for _, status, _ in before[0].values()} == {"FINISHED"}
    assert log_stage(MlflowTracker(tmp_path, "tiny", DATA), tmp_path) == first
    assert everything(served) == before
    assert capfd.readouterr().out == ""


def test_the_same_stage_logged_again_adds_nothing(track, client, tmp_path):
    first = log_stage(track(), tmp_path)
    before = everything(client)
    assert log_stage(track(), tmp_path) == first
    assert everything(client) == before


def test_a_stage_that_died_is_gone_on_with(track, client, tmp_path):
    parent = track().open_stage("stage-1", "tune frozen", {"stage": "tune"})
    assert log_stage(track(), tmp_path) == parent
    assert {run.info.status for run in runs(client).values()} == {"FINISHED"}


class Kill:
    def __str__(self):
        raise KeyboardInterrupt


@pytest.mark.parametrize("process", ["same", "next"])
def test_a_half_logged_record_is_replaced(track, client, process):
    tracker = track()
    parent = tracker.open_stage("stage-1", "tune frozen", {})
    tracker.children(parent, [record("b")])
    with pytest.raises(KeyboardInterrupt):
        tracker.children(parent, [record(params={"epochs": Kill()})])
    half = runs(client)["record a"].info
    assert half.status == "RUNNING"
    again = tracker if process == "same" else track()
    again.children(parent, [record()])
    whole = runs(client)["record a"]
    assert (whole.info.status, whole.data.params["epochs"]) == ("FINISHED", "2")
    assert whole.info.run_id != half.run_id


class Killed(BaseException):
    pass


class Mortal:
    """A client whose process is killed after some calls: it does no more, whatever is asked of it."""

    def __init__(self, client, calls=math.inf):
        self.client, self.left, self.calls = client, calls, Counter()

    def __getattr__(self, name):
        def call(*args, **kwargs):
            if self.left == 0:
                raise Killed
            self.left -= 1
            self.calls[name] += 1
            return getattr(self.client, name)(*args, **kwargs)

        return call


def whole(client, parent):
    """Return all that a stage's run and those below it hold, but for ids and times."""
    experiment = client.get_experiment_by_name("tiny").experiment_id
    below = client.search_runs(
        [experiment], f"tags.`mlflow.parentRunId` = '{parent}'", order_by=["attributes.run_name"]
    )
    return [
        (
            run.info.run_name,
            run.info.status,
            run.data.params,
            {key: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, key)]
             for key in run.data.metrics},
            [data.dataset.digest for data in run.inputs.dataset_inputs],
            [file.path for file in client.list_artifacts(run.info.run_id)],
        )
        for run in [client.get_run(parent), *below]
    ]  # fmt: skip


def test_a_process_killed_between_any_two_calls_leaves_nothing_out_and_nothing_twice(track, client, tmp_path):
    expected = whole(client, log_stage(track(), tmp_path, key="reference"))
    assert [name for name, *_ in expected] == ["tune frozen", "record a", "record b"]
    for calls in count():
        tracker = track()
        tracker._client = Mortal(tracker._client, calls)
        with suppress(Killed):
            log_stage(tracker, tmp_path, key=f"stage-{calls}")
        killed = tracker._client.left == 0
        parent = log_stage(track(), tmp_path, key=f"stage-{calls}")
        assert whole(client, parent) == expected, calls
        if not killed:
            break
    stages = client.search_runs([client.get_experiment_by_name("tiny-stages").experiment_id], "tags.stage = 'tune'")
    assert len(stages) == calls + 2 > 14


def test_records_take_one_search_for_all_and_four_calls_each(track):
    tracker = track()
    parent = tracker.open_stage("stage-1", "tune frozen", {})
    tracker._client = Mortal(tracker._client)
    tracker.children(parent, [record("a"), record("b")])
    tracker.children(parent, [record("a"), record("b"), record("c")])
    each = dict.fromkeys(["create_run", "log_inputs", "log_batch", "set_terminated"], 3)
    assert tracker._client.calls == {"search_runs": 1, **each}


def test_records_beyond_the_first_page_are_found(track, client, monkeypatch):
    monkeypatch.setattr("pipeline.tracking.runs.PAGE", 2)
    parent = track().open_stage("stage-1", "tune frozen", {})
    records = [record(str(number)) for number in range(5)]
    track().children(parent, records)
    before = everything(client)
    track().children(parent, records)
    assert everything(client) == before


def test_runs_that_others_nest_below_a_stage_are_left_alone(track, client):
    tracker = track()
    parent = tracker.open_stage("stage-1", "tune frozen", {})
    experiment = client.get_experiment_by_name("tiny").experiment_id
    client.create_run(experiment, run_name="by hand", tags={"mlflow.parentRunId": parent})
    tracker.children(parent, [record()])
    assert set(runs(client)) == {"tune frozen", "by hand", "record a"}


@pytest.mark.parametrize(("error", "status"), [
    (UserError("fix it"), "FAILED"), (ZeroDivisionError(), "FAILED"), (KeyboardInterrupt(), "KILLED")
])  # fmt: skip
def test_a_stage_that_ends_with_an_error_says_so_and_is_gone_on_with(track, client, error, status):
    with pytest.raises(type(error)), track().stage("s", "stage", {}) as first:
        raise error
    assert client.get_run(first).info.status == status
    tracker = track()
    with tracker.stage("s", "stage", {}) as second:
        assert (second, client.get_run(first).info.status) == (first, "RUNNING")
        tracker.finish(second, {}, [])
    assert client.get_run(first).info.status == "FINISHED"


def test_a_run_that_is_finished_stays_so_whatever_comes_after(track, client):
    tracker = track()
    with suppress(ZeroDivisionError), tracker.stage("s", "stage", {}) as run:
        tracker.finish(run, {}, [])
        raise ZeroDivisionError
    assert client.get_run(run).info.status == "FINISHED"


def test_an_error_is_not_hidden_by_what_mlflow_says_next(track, client):
    def fail():
        with track().stage("s", "stage", {}) as run:
            client.delete_run(run)  # so that its status cannot be set
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()


def test_runs_of_dead_processes_are_closed_and_those_of_others_are_not(track, client):
    tracker = track()
    gone = subprocess.Popen([sys.executable, "-S", "-c", ""])
    gone.wait()
    here = socket.gethostname()
    owners = {"dead": f"{here}:{gone.pid}", "alive": f"{here}:{os.getpid()}", "elsewhere": f"another-{here}:{gone.pid}"}
    for name, owner in owners.items():
        client.set_tag(tracker.open_stage(name, name, {}), OWNER, owner)
    track()
    assert {name: run.info.status for name, run in runs(client).items()} == {
        "dead": "KILLED", "alive": "RUNNING", "elsewhere": "RUNNING"
    }  # fmt: skip


def test_scores_that_are_no_numbers_are_left_out(track, client):
    tracker = track()
    epochs = [Epoch(1, math.inf, {"log_loss": math.nan, "accuracy": 0.5})]
    tracker.children(
        tracker.open_stage("p", "stage", {}), [replace(record(epochs=epochs), metrics={"flops": -math.inf})]
    )
    assert runs(client)["record a"].data.metrics == {"valid_accuracy": 0.5}


def test_long_trainings_are_logged_whole(track, client):
    tracker = track()
    epochs = [Epoch(n, 0.5, {"accuracy": 0.5, "log_loss": 1.0}) for n in range(1, 701)]
    tracker.children(tracker.open_stage("p", "stage", {}), [record(epochs=epochs, params={"epochs": 700})])
    run = runs(client)["record a"]
    assert run.data.params == {"epochs": "700"}
    assert len(client.get_metric_history(run.info.run_id, "valid_accuracy")) == 700


def test_runs_lead_back_to_the_commit_and_to_what_dvc_made(track, client, tmp_path):
    def git(*command):
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        return subprocess.run(["git", *who, *command], cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    def tags(name):
        tracker = track()
        tracker.finish(tracker.open_stage(name, name, {}), {}, [])
        return runs(client)[name].data.tags

    bare = tags("bare")
    assert ("mlflow.source.git.commit" in bare, bare["dvc_lock"]) == (False, "none")
    git("init", "-q")
    (tmp_path / "dvc.lock").write_text("one")
    git("add", "dvc.lock")
    git("commit", "-qm", "one")
    git("tag", "-a", "v1", "-m", "a release")
    commit, clean = git("rev-parse", "HEAD").strip(), tags("clean")
    assert (clean["mlflow.source.git.commit"], clean["mlflow.source.git.dirty"]) == (commit, "false")
    (tmp_path / "dvc.lock").write_text("two")
    dirty = tags("dirty")
    assert (dirty["mlflow.source.git.commit"], dirty["mlflow.source.git.dirty"]) == (commit, "true")
    assert dirty["dvc_lock"] != clean["dvc_lock"]


def test_without_a_server_the_database_is_at_the_root_and_artifacts_beside_it(mlflow_template, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir("/")
    (tmp_path / "mlflow.db").write_bytes(mlflow_template.read_bytes())
    log_stage(MlflowTracker(tmp_path, "tiny", DATA), tmp_path)
    assert os.environ["MLFLOW_TRACKING_URI"] == f"sqlite:///{tmp_path}/mlflow.db"
    assert list(tmp_path.glob("mlartifacts/*/artifacts/trials.csv"))


def test_other_data_is_another_data_set(track, client):
    for digest in ("one", "two"):
        tracker = track(replace(DATA, digest=digest))
        tracker.finish(tracker.open_stage(digest, digest, {}), {}, [])
    found = {name: run.inputs.dataset_inputs[0].dataset.digest for name, run in runs(client).items()}
    assert found == {"one": "one", "two": "two"}
