import base64
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before mlflow loads: tests are offline

import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.inference.classifier import Classifier
from pipeline.tracking import logged_models
from pipeline.tracking.client import KEY

IMAGE = np.arange(24 * 24 * 3, dtype=np.uint8).reshape(24, 24, 3)


@pytest.fixture
def log(client, run, model):
    """A function that logs the model of a seed, with an example, and returns its id."""
    return lambda seed: logged_models.find_or_log(client, run, model(seed), "frozen", {"epochs": 1}, IMAGE)


def test_a_model_is_logged_once_and_one_that_was_left_half_logged_again(log, client, run):
    first = log(1)
    assert (log(1), log(2) == first) == (first, False)
    experiment = client.get_run(run).info.experiment_id
    half = client.create_logged_model(experiment, "frozen", run, tags={KEY: client.get_logged_model(first).tags[KEY]})
    client.delete_logged_model(first)
    again = log(1)
    assert again not in (first, half.model_id)
    assert half.model_id not in [m.model_id for m in client.search_logged_models([experiment])]


def test_a_model_has_a_signature_an_example_that_it_answers_and_pinned_requirements(log, client):
    model = log(1)
    loaded = mlflow.pyfunc.load_model(f"models:/{model}")
    assert loaded.metadata.signature.inputs.to_dict() == [{"type": "binary", "required": True}]
    assert loaded.metadata.signature.outputs.input_names() == ["label", "probability", "p_low", "p_top"]
    assert loaded.input_example.shape == (1, 1)
    assert loaded.predict(loaded.input_example)["label"].isin(["low", "top"]).all()
    with Image.open(io.BytesIO(loaded.input_example.iloc[0, 0])) as image:
        assert (image.format, image.size) == ("JPEG", (24, 24))
    folder = Path(client.get_logged_model(model).artifact_location.removeprefix("file://"))
    requirements = (folder / "requirements.txt").read_text().split()
    assert all("==" in line for line in requirements)
    assert {line.split("==")[0] for line in requirements} == set(logged_models.SERVED)


def test_a_file_a_table_and_base64_text_are_answered_alike(log, images):
    loaded, data = mlflow.pyfunc.load_model(f"models:/{log(1)}"), images[0].read_bytes()
    text = base64.b64encode(data).decode()
    asked = ([data], [text], pd.DataFrame({"image": [data]}), pd.DataFrame({"photo": [text]}))
    (one, *others) = (loaded.predict(each) for each in asked)
    assert all(other.equals(one) for other in others)


PREDICT = """
import importlib.util, json, pathlib, sys, mlflow
sys.path[:] = [folder for folder in sys.path if not pathlib.Path(folder, "pipeline", "__init__.py").is_file()]
assert importlib.util.find_spec("pipeline") is None
images = [pathlib.Path(name).read_bytes() for name in sys.argv[2:]]
models = [mlflow.pyfunc.load_model(f"models:/{model}") for model in sys.argv[1].split(",")]
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
    """A function that loads models in a process without the project, and returns what each says of the images."""

    def call(*models):
        answer = subprocess.run(
            [sys.executable, "-I", "-W", "ignore", "-c", PREDICT, ",".join(models), *map(str, images)],
            cwd=tmp_path_factory.mktemp("elsewhere"),
            env={**os.environ, "MLFLOW_TRACKING_URI": tracking_uri, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
            check=True,
            capture_output=True,
            text=True,
        )
        return json.loads(answer.stdout.splitlines()[-1])

    return call


def test_the_logged_model_needs_neither_pickle_nor_the_project(log, model, images, predict, tmp_path):
    logged = log(1)
    files = [path for path in tmp_path.rglob("*") if path.is_file() and "artifacts" in path.parts]
    assert {"model.safetensors", "model.json", "MLmodel", "classifier.py"} <= {path.name for path in files}
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".pt", ".pth", ".bin", ".joblib")]
    (served,) = predict(logged)
    expected = Classifier(model(1)).predict([path.read_bytes() for path in images])
    assert served["label"] == list(expected["label"])
    np.testing.assert_allclose(served["p_low"], expected["p_low"], rtol=1e-5)


def test_models_with_different_code_in_one_process_run_their_own(log, predict, tmp_path, monkeypatch):
    logged = []
    for version, logits in enumerate(([9.0, 0.0], [0.0, 9.0]), 1):
        code = shutil.copytree(logged_models.CODE, tmp_path / f"code-{version}")
        with (code / "network.py").open("a", encoding="utf-8") as file:
            file.write(f"\nNetwork.forward = lambda self, images: torch.tensor([{logits}]).expand(len(images), 2)\n")
        with monkeypatch.context() as patch:
            patch.setattr(logged_models, "CODE", code)
            logged.append(log(version))
    assert [set(said["label"]) for said in predict(*logged)] == [{"low"}, {"top"}]
