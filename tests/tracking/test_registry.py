import json
import os
import subprocess
import sys
from pathlib import Path

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before mlflow loads: tests are offline

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from PIL import Image

from pipeline.config.backbone_table import BACKBONES
from pipeline.config.recipe import Recipe
from pipeline.inference.classifier import Classifier, Network
from pipeline.network.build import save_model
from pipeline.network.cut import describe
from pipeline.tracking.client import KEY
from pipeline.tracking.registry import Registry, Version


@pytest.fixture
def client(tracking_uri):
    return MlflowClient(tracking_uri, tracking_uri)


@pytest.fixture
def run(client, tmp_path):
    """A run that is not finished, as the stage's is while it registers."""
    location = (tmp_path / "mlartifacts").as_uri()
    return client.create_run(client.create_experiment("tiny", location), run_name="stage").info.run_id


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
def register(run, model, tmp_path):
    """A function that registers the model of a seed, as each process does with a registry of its own."""

    def call(seed, *aliases):
        tags = {KEY: f"key-{seed}", "strategy": "frozen", "data": f"data-{seed}"}
        return Registry(tmp_path, "tiny-model").add(run, model(seed), aliases, tags)

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
    assert client.get_model_version("tiny-model", "1").tags == {
        KEY: "key-1", "strategy": "frozen", "data": "data-1"
    }  # fmt: skip


def test_the_champion_is_told_with_its_data_wherever_its_alias_was_left(register, client, tmp_path):
    registry = Registry(tmp_path, "tiny-model")
    assert registry.champion() is None
    register(1, "champion")
    register(2, "best-frozen")
    assert registry.champion() == Version(1, "frozen", "data-1")
    client.delete_model_version_tag("tiny-model", "1", "data")  # as on one that somebody else registered
    assert registry.champion() == Version(1, "frozen", "unknown")
    client.delete_registered_model_alias("tiny-model", "champion")
    assert registry.champion() is None


def test_registering_does_not_close_the_stages_run(register, client, run):
    register(1)
    assert client.get_run(run).info.status == "RUNNING"
    assert [model.model_id for model in client.get_run(run).outputs.model_outputs]


def test_a_run_that_surrounds_the_process_is_not_joined(register, client, run, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "f" * 32)  # as `mlflow run` does
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "7")
    register(1, "champion")
    assert client.get_model_version("tiny-model", "1").run_id == run
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    assert [found.info.run_id for found in client.search_runs(experiments)] == [run]


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
