import json
import os
import shutil
import subprocess
import sys

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before mlflow loads: tests are offline

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from PIL import Image

from pipeline.config.backbone_table import BACKBONES
from pipeline.config.recipe import Recipe
from pipeline.inference.classifier import Classifier
from pipeline.inference.network import Network
from pipeline.network.build import save_model
from pipeline.network.cut import describe
from pipeline.tracking import registry
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


def test_the_champion_is_reported_with_its_data_wherever_its_alias_was_left(register, client, tmp_path):
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


PREDICT = """
import importlib.util, json, pathlib, sys, mlflow
sys.path[:] = [folder for folder in sys.path if not pathlib.Path(folder, "pipeline", "__init__.py").is_file()]
assert importlib.util.find_spec("pipeline") is None
images = [pathlib.Path(name).read_bytes() for name in sys.argv[2:]]
models = [mlflow.pyfunc.load_model(f"models:/tiny-model/{version}") for version in sys.argv[1].split(",")]
print(json.dumps([model.predict(images).to_dict("list") for model in models]))
"""


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(5):
        Image.fromarray(rng.integers(0, 256, (30, 20 + number, 3), dtype=np.uint8)).save(tmp_path / f"{number}.png")
    return sorted(tmp_path.glob("*.png"))


@pytest.fixture
def predict(images, tracking_uri, tmp_path_factory):
    """A function that loads versions in a process without the project, and returns what each says of the images."""

    def call(*versions):
        answer = subprocess.run(
            [sys.executable, "-I", "-W", "ignore", "-c", PREDICT, ",".join(map(str, versions)), *map(str, images)],
            cwd=tmp_path_factory.mktemp("elsewhere"),
            env={**os.environ, "MLFLOW_TRACKING_URI": tracking_uri, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
            check=True,
            capture_output=True,
            text=True,
        )
        return json.loads(answer.stdout.splitlines()[-1])

    return call


def test_the_registered_model_needs_neither_pickle_nor_the_project(register, model, images, predict, tmp_path):
    register(1)
    files = [path for path in tmp_path.rglob("*") if path.is_file() and "artifacts" in path.parts]
    assert {"model.safetensors", "model.json", "MLmodel", "classifier.py"} <= {path.name for path in files}
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".pt", ".pth", ".bin", ".joblib")]
    (served,) = predict(1)
    expected = Classifier(model(1)).predict([path.read_bytes() for path in images])
    assert served["label"] == list(expected["label"])
    np.testing.assert_allclose(served["p_low"], expected["p_low"], rtol=1e-5)


def test_models_with_different_code_in_one_process_run_their_own(register, predict, tmp_path, monkeypatch):
    for version, logits in enumerate(([9.0, 0.0], [0.0, 9.0]), 1):
        code = shutil.copytree(registry.CODE, tmp_path / f"code-{version}")
        with (code / "network.py").open("a", encoding="utf-8") as file:
            file.write(f"\nNetwork.forward = lambda self, images: torch.tensor([{logits}]).expand(len(images), 2)\n")
        with monkeypatch.context() as patch:
            patch.setattr(registry, "CODE", code)
            register(version)
    assert [set(said["label"]) for said in predict(1, 2)] == [{"low"}, {"top"}]
