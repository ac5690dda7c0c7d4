import os
import sys

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before mlflow loads: tests are offline

import numpy as np
import pytest
from mlflow import MlflowClient

from pipeline.commands.app import main
from pipeline.inference.classifier import Classifier
from pipeline.network.onnx_export import random_images
from pipeline.tracking import logged_models
from tests.support.served import tiny_model


def test_a_registered_model_is_exported_and_says_the_same(tracking_uri, tmp_path, monkeypatch, capsys):
    onnxruntime = pytest.importorskip("onnxruntime")
    folder = tiny_model(tmp_path / "model")
    client = MlflowClient(tracking_uri, tracking_uri)
    run = client.create_run(client.create_experiment("tiny", (tmp_path / "mlartifacts").as_uri())).info.run_id
    logged = logged_models.find_or_log(client, run, folder, "frozen", {})
    client.create_registered_model("tiny")
    client.create_model_version("tiny", f"models:/{logged}", model_id=logged)
    monkeypatch.chdir(tmp_path)
    assert main(["export", "--model", "models:/tiny/1", "--onnx", "m.onnx"]) == 0
    assert "takes uint8 images (N, 3, 24, 24); its probabilities are the model's to " in capsys.readouterr().out
    session = onnxruntime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"])
    images = random_images(classifier := Classifier(folder), 4)
    (found,) = session.run(None, {"images": images.numpy()})
    expected = classifier.classify([*images.permute(0, 2, 3, 1).numpy()])[["p_low", "p_top"]]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_file_that_is_there_stays_and_a_missing_package_is_named(tmp_path, monkeypatch, capsys):
    folder = tiny_model(tmp_path / "model")
    (tmp_path / "m.onnx").write_text("mine")
    assert main(["export", "--model", str(folder), "--onnx", str(tmp_path / "m.onnx")]) == 2
    assert "m.onnx: is there already; name another file, or give --overwrite" in capsys.readouterr().err
    assert (tmp_path / "m.onnx").read_text() == "mine"
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main(["export", "--model", str(folder), "--onnx", str(tmp_path / "n.onnx")]) == 2
    assert "uv sync --extra onnx" in capsys.readouterr().err
