import http.server
import json
import math
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before mlflow loads: tests are offline

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from PIL import Image

from pipeline.catalog import BACKBONES
from pipeline.errors import UserError
from pipeline.models import save_model
from pipeline.network import describe
from pipeline.recipe import Recipe
from pipeline.records import Epoch
from pipeline.serving import Classifier, Network
from pipeline.tracking import KEY, OWNER, Dataset, MlflowTracker, connect

DATA = Dataset("tiny", "0123abcd", 'a "quoted" \\ folder')
EPOCHS = [Epoch(n, 1 / n, {"accuracy": n / 10, "log_loss": 2 / n}) for n in (1, 2)]


@pytest.fixture
def client(tracking_uri):
    return MlflowClient(tracking_uri)


@pytest.fixture
def track(client, tmp_path):
    """A function that makes a tracker, as each process makes its own."""
    return lambda data=DATA: MlflowTracker(tmp_path, "tiny", data)


def runs(client):
    """Return all runs that are not deleted, by name."""
    found = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    assert len({run.info.run_name for run in found}) == len(found), "a run is there twice"
    return {run.info.run_name: run for run in found}


def log_stage(tracker, tmp_path, units=("a", "b")):
    file = tmp_path / "trials.csv"
    file.write_text("trial\n")
    parent = tracker.parent("stage-1", "tune frozen", {"stage": "tune"})
    for unit in units:
        tracker.child(parent, unit, f"unit {unit}", {"epochs": 2, "cut": "head"}, EPOCHS, {"flops": 5}, {"seed": "3"})
    tracker.finish(parent, {"best": 0.25}, [file])
    return parent


def everything(client):
    found = runs(client)
    histories = {
        (name, key): [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, key)]
        for name, run in found.items()
        for key in run.data.metrics
    }
    return {name: (run.info.run_id, run.info.status, run.data.params) for name, run in found.items()}, histories


def test_a_stage_and_its_units_are_logged_with_all_that_leads_back_to_them(track, client, tmp_path):
    parent = log_stage(track(), tmp_path)
    found = runs(client)
    assert set(found) == {"tune frozen", "unit a", "unit b"}
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    unit = found["unit a"]
    assert unit.data.params == {"epochs": "2", "cut": "head"}
    assert unit.data.metrics == {
        "train_log_loss": 0.5, "valid_accuracy": 0.2, "valid_log_loss": 1.0, "flops": 5.0
    }  # fmt: skip
    history = client.get_metric_history(unit.info.run_id, "valid_accuracy")
    assert [(m.step, m.value) for m in history] == [(1, 0.1), (2, 0.2)]
    tags = unit.data.tags
    assert (tags["mlflow.parentRunId"], tags["seed"], tags["data"]) == (parent, "3", "0123abcd")
    assert {"git_commit", "dvc_lock", KEY, OWNER} <= set(tags)
    for run in found.values():
        (data,) = run.inputs.dataset_inputs
        assert (data.dataset.name, data.dataset.digest) == ("tiny", "0123abcd")
        assert json.loads(data.dataset.source) == {"uri": DATA.source}
    assert found["tune frozen"].data.metrics == {"best": 0.25}
    assert [file.path for file in client.list_artifacts(parent)] == ["trials.csv"]


def test_the_same_stage_logged_again_adds_nothing(track, client, tmp_path):
    first = log_stage(track(), tmp_path)
    before = everything(client)
    assert log_stage(track(), tmp_path) == first
    assert everything(client) == before


def test_a_stage_that_died_is_gone_on_with(track, client, tmp_path):
    parent = track().parent("stage-1", "tune frozen", {"stage": "tune"})
    assert log_stage(track(), tmp_path) == parent
    assert {run.info.status for run in runs(client).values()} == {"FINISHED"}


class Kill:
    def __str__(self):
        raise KeyboardInterrupt


def test_a_half_logged_unit_is_replaced(track, client, tmp_path):
    tracker = track()
    parent = tracker.parent("stage-1", "tune frozen", {})
    with pytest.raises(KeyboardInterrupt):
        tracker.child(parent, "a", "unit a", {"epochs": Kill()}, EPOCHS, {}, {})
    half = runs(client)["unit a"].info
    assert half.status == "RUNNING"
    log_stage(track(), tmp_path)
    whole = runs(client)["unit a"]
    assert (whole.info.status, whole.data.params["epochs"]) == ("FINISHED", "2")
    assert whole.info.run_id != half.run_id


def test_runs_of_dead_processes_are_closed_and_those_of_others_are_not(track, client):
    tracker = track()
    gone = subprocess.Popen([sys.executable, "-S", "-c", ""])
    gone.wait()
    here = socket.gethostname()
    owners = {"dead": f"{here}:{gone.pid}", "alive": f"{here}:{os.getpid()}", "elsewhere": f"another-{here}:{gone.pid}"}
    for name, owner in owners.items():
        client.set_tag(tracker.parent(name, name, {}), OWNER, owner)
    track()
    assert {name: run.info.status for name, run in runs(client).items()} == {
        "dead": "KILLED", "alive": "RUNNING", "elsewhere": "RUNNING"
    }  # fmt: skip


def test_scores_that_are_no_numbers_are_left_out(track, client):
    tracker = track()
    epochs = [Epoch(1, math.inf, {"log_loss": math.nan, "accuracy": 0.5})]
    tracker.child(tracker.parent("p", "stage", {}), "a", "unit", {}, epochs, {"flops": math.inf}, {})
    assert runs(client)["unit"].data.metrics == {"valid_accuracy": 0.5}


def test_long_trainings_are_logged_whole(track, client):
    tracker = track()
    epochs = [Epoch(n, 0.5, {"accuracy": 0.5, "log_loss": 1.0}) for n in range(1, 701)]
    tracker.child(tracker.parent("p", "stage", {}), "a", "unit", {"epochs": 700}, epochs, {}, {})
    run = runs(client)["unit"]
    assert run.data.params == {"epochs": "700"}
    assert len(client.get_metric_history(run.info.run_id, "valid_accuracy")) == 700


def test_runs_lead_back_to_the_commit_and_to_what_dvc_made(track, client, tmp_path):
    def git(*command):
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        return subprocess.run(["git", *who, *command], cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    def tags(name):
        tracker = track()
        tracker.finish(tracker.parent(name, name, {}), {}, [])
        return runs(client)[name].data.tags

    assert (tags("bare")["git_commit"], tags("bare")["dvc_lock"]) == ("none", "none")
    git("init", "-q")
    (tmp_path / "dvc.lock").write_text("one")
    git("add", "dvc.lock")
    git("commit", "-qm", "one")
    git("tag", "-a", "v1", "-m", "a release")
    commit, clean = git("rev-parse", "HEAD").strip(), tags("clean")
    assert clean["git_commit"] == commit
    (tmp_path / "dvc.lock").write_text("two")
    dirty = tags("dirty")
    assert dirty["git_commit"] == f"{commit}-dirty"
    assert dirty["dvc_lock"] != clean["dvc_lock"]


def test_the_experiment_opens_as_one_of_model_training(track, client):
    track()
    experiment = client.get_experiment_by_name("tiny")
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"


def test_without_a_server_the_database_is_at_the_root_and_artifacts_beside_it(mlflow_template, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir("/")
    (tmp_path / "mlflow.db").write_bytes(mlflow_template.read_bytes())
    log_stage(MlflowTracker(tmp_path, "tiny", DATA), tmp_path)
    assert os.environ["MLFLOW_TRACKING_URI"] == f"sqlite:///{tmp_path}/mlflow.db"
    assert list(tmp_path.glob("mlartifacts/*/artifacts/trials.csv"))


@pytest.fixture
def refused():
    """A port at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        yield free.getsockname()[1]


@pytest.fixture
def silent():
    """A port at which somebody listens and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


class Foreign(http.server.BaseHTTPRequestHandler):
    """A web server that knows nothing of MLflow."""

    def log_message(self, *parts):
        pass


class Broken(Foreign):
    """A server that is well until it is asked for something."""

    def do_GET(self):
        if self.path.endswith("/health"):
            self.send_response(200)
            self.end_headers()

    do_POST = do_GET  # noqa: N815


@pytest.fixture
def serve():
    """A function that starts a web server and returns its port."""
    servers = []

    def start(handler):
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[0].serve_forever, args=(0.01,), daemon=True).start()
        return servers[0].server_port

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(params=["refused", "silent", "foreign", "broken"])
def port(request, serve):
    """The port of something on this machine that is no MLflow server."""
    handlers = {"foreign": Foreign, "broken": Broken}
    kind = request.param
    return serve(handlers[kind]) if kind in handlers else request.getfixturevalue(kind)


def test_a_server_that_does_not_answer_is_named_within_seconds_and_its_password_is_not(port, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:s3cret@127.0.0.1:{port}")
    began = time.monotonic()
    with pytest.raises(UserError) as caught:
        connect(tmp_path)
    assert time.monotonic() - began < 20
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "MLFLOW_TRACKING_URI" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:notaport", "nonsense://somewhere", "sqlite:////dev/null/a.db"])
def test_an_address_that_is_none_is_the_users_mistake(uri, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(UserError, match="MLFLOW_TRACKING_URI"):
        connect(tmp_path)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A function that makes a model folder from a seed, as the train stage leaves it."""

    def make(seed):
        recipe = Recipe(backbone="compact", weights="random", cut="input", image_size=32, epochs=1, learning_rate=0.1)
        spec = describe(recipe, BACKBONES["compact"], ("low", "top"), 24, 3, ("identity", "hflip"))
        folder = tmp_path_factory.mktemp("model")
        torch.manual_seed(seed)
        save_model(Network(spec), spec, folder)
        return folder

    return make


@pytest.fixture
def register(track, model):
    """A function that registers the model of a seed, as the register stage does; it returns the version."""

    def call(seed, *aliases):
        tracker = track()
        run = tracker.parent("-".join(["register", str(seed), *aliases]), f"register {seed} {aliases}", {})
        number = tracker.register(run, "tiny-model", model(seed), aliases, {KEY: f"key-{seed}", "strategy": "frozen"})
        tracker.finish(run, {}, [])
        return number

    return call


def aliases(client):
    return {name: int(number) for name, number in client.get_registered_model("tiny-model").aliases.items()}


def test_each_model_is_a_version_once_and_aliases_move(register, client):
    assert register(1, "best-frozen", "champion") == 1
    assert register(2, "best-scratch") == 2
    assert register(1, "best-frozen") == 1
    assert [int(v.version) for v in client.search_model_versions("name = 'tiny-model'")] == [2, 1]
    assert aliases(client) == {"best-frozen": 1, "champion": 1, "best-scratch": 2}
    assert register(2, "champion") == 2
    assert aliases(client) == {"best-frozen": 1, "champion": 2, "best-scratch": 2}
    assert client.get_model_version("tiny-model", "1").tags == {KEY: "key-1", "strategy": "frozen"}


def test_a_run_that_surrounds_the_process_is_not_joined(register, client, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "f" * 32)  # as `mlflow run` does
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "7")
    register(1, "champion")
    assert set(runs(client)) == {"register 1 ('champion',)"}


LOAD = """
import importlib.util, json, pathlib, sys, mlflow
assert importlib.util.find_spec("pipeline") is None
model = mlflow.pyfunc.load_model("models:/tiny-model@champion")
table = model.predict([pathlib.Path(name).read_bytes() for name in sys.argv[1:]])
print(json.dumps(table.to_dict("list")))
"""


def test_the_registered_model_needs_neither_pickle_nor_the_project(
    register, client, model, tmp_path, tmp_path_factory, tracking_uri
):
    register(1, "champion")
    version = client.get_model_version_by_alias("tiny-model", "champion")
    kept = Path(client.get_model_version_download_uri("tiny-model", version.version).removeprefix("file://"))
    files = [path for path in tmp_path.rglob("*") if path.is_file() and "artifacts" in path.parts]
    assert {"model.safetensors", "model.json", "MLmodel"} <= {path.name for path in files}, kept
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".pt", ".pth", ".bin", ".joblib")]

    elsewhere = tmp_path_factory.mktemp("elsewhere")
    rng = np.random.default_rng(0)
    for number in range(5):
        Image.fromarray(rng.integers(0, 256, (30, 20 + number, 3), dtype=np.uint8)).save(elsewhere / f"{number}.png")
    images = sorted(elsewhere.glob("*.png"))
    answer = subprocess.run(
        [sys.executable, "-I", "-W", "ignore", "-c", LOAD, *map(str, images)],
        cwd=elsewhere,
        env={**os.environ, "MLFLOW_TRACKING_URI": tracking_uri, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
        check=True,
        capture_output=True,
        text=True,
    )
    expected = Classifier(model(1)).predict([path.read_bytes() for path in images])
    served = json.loads(answer.stdout.splitlines()[-1])
    assert served["label"] == list(expected["label"])
    np.testing.assert_allclose(served["p_low"], expected["p_low"], rtol=1e-5)


def test_other_data_is_another_data_set(track, client):
    for digest in ("one", "two"):
        tracker = track(replace(DATA, digest=digest))
        tracker.finish(tracker.parent(digest, digest, {}), {}, [])
    found = {name: run.inputs.dataset_inputs[0].dataset.digest for name, run in runs(client).items()}
    assert found == {"one": "one", "two": "two"}
