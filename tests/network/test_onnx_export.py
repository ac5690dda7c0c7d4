"""A network of each arm as ONNX: it says what the registered model says."""

import json

import numpy as np
import pytest
import torch

from pipeline.common.errors import UserError
from pipeline.config.backbone_table import BACKBONES
from pipeline.config.recipe import Recipe
from pipeline.inference.classifier import Classifier
from pipeline.inference.network import Network
from pipeline.network import onnx_export
from pipeline.network.build import save_model
from pipeline.network.cut import describe
from pipeline.network.onnx_export import export_onnx, random_images
from pipeline.network.pretrained import PACKAGED

onnxruntime = pytest.importorskip("onnxruntime")

ARMS = {
    "scratch": {"backbone": "compact", "weights": "random", "cut": "input"},
    "frozen": {"backbone": "efficientnet_lite0", "weights": "pretrained", "cut": "head", "head": "logistic",
               "features": "stages"},
    "finetune": {"backbone": "efficientnet_lite0", "weights": "pretrained", "cut": 3, "head": "mlp"},
}  # fmt: skip


def served(arm, folder, views=("identity", "hflip", "rot90"), channels=3):
    """A network of an arm: its head is random, its pictures are scaled from 40 to 32 pixels."""
    recipe = Recipe(image_size=32, epochs=1, learning_rate=0.1, **ARMS[arm])
    spec = describe(recipe, BACKBONES[recipe.backbone], ("a", "b", "c"), 40, channels, views)
    torch.manual_seed(0)
    network = Network(spec)
    if recipe.weights == "pretrained":
        PACKAGED.find(recipe.backbone).load(network.backbone)
    save_model(network, spec, folder)
    return Classifier(folder)


@pytest.mark.parametrize("arm", ARMS)
def test_probabilities_are_the_model_s_for_any_number_of_images(arm, tmp_path):
    classifier = served(arm, tmp_path / "model", channels=1 if arm == "frozen" else 3)
    assert export_onnx(classifier, tmp_path / "m.onnx", {"digest": "abc"}) <= 1e-5
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    for count in (1, 2, 7):
        images = random_images(classifier, count)
        (found,) = session.run(["probabilities"], {"images": images.numpy()})
        expected = classifier.classify([*images.permute(0, 2, 3, 1).numpy()])
        assert found.shape == (count, 3)
        np.testing.assert_allclose(found, expected[["p_a", "p_b", "p_c"]], atol=1e-5)
        assert len(np.unique(found[:, 0])) == count  # they are not all one answer
    told = session.get_modelmeta().custom_metadata_map
    assert json.loads(told["classes"]) == ["a", "b", "c"]
    assert (told["packed_size"], told["digest"]) == ("40", "abc")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["m.onnx"]


def test_what_differs_too_much_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "PARITY", 0.0)
    with pytest.raises(UserError, match=r"m\.onnx: not written: its probabilities differ from PyTorch's by up to"):
        export_onnx(served("scratch", tmp_path / "model"), tmp_path / "m.onnx", {})
    assert not (tmp_path / "m.onnx").exists()


def test_what_cannot_be_exported_is_named(tmp_path, monkeypatch):
    classifier = served("scratch", tmp_path / "model")

    def broken(*args):
        return torch.from_numpy(args[0].numpy())  # which no exporter follows

    monkeypatch.setattr(classifier.network.backbone, "forward", broken)
    with pytest.raises(UserError, match="cannot be exported to ONNX: "):
        export_onnx(classifier, tmp_path / "m.onnx", {})
    assert not (tmp_path / "m.onnx").exists()
