"""Weights from where their names say they are, through the whole pipeline: `dvc repro` in a clone."""

import json
import os
from functools import partial
from pathlib import Path

import pytest
import torch
import torchvision
from mlflow import MlflowClient
from safetensors.torch import load_file

from pipeline.common.errors import UserError
from pipeline.config.backbone_table import resolve
from pipeline.config.recipe import Recipe
from pipeline.inference.network import Network
from pipeline.network.build import save_model
from pipeline.network.cut import describe
from pipeline.network.fetching import BackboneRequest, fetch
from pipeline.network.pretrained import WeightStore
from pipeline.tracking import logged_models, registry
from tests.conftest import lay_out_images
from tests.test_pipeline import Clone

TUNED = {"trials": 1, "rungs": [], "trials_per_round": None}
RECIPE = {"image_size": 32, "epochs": 1, "batch_size": 8, "learning_rate": 0.001}


@pytest.fixture
def registered(tracking_uri, tmp_path, monkeypatch):
    """A registered model of ours, its champion; returns its network. This process knows another registry as well."""
    monkeypatch.setattr("mlflow.tracking._model_registry.utils._registry_uri", f"sqlite:///{tmp_path / 'other.db'}")
    recipe = Recipe(backbone="compact", weights="random", cut="input", **RECIPE)
    spec = describe(recipe, resolve("compact"), ("a", "b"), 32, 3, ("identity",))
    torch.manual_seed(4)
    network = Network(spec)
    save_model(network, {**spec, "mean": [0.1, 0.2, 0.3]}, tmp_path / "model")
    client = MlflowClient(tracking_uri, tracking_uri)
    run = client.create_run(client.create_experiment("source", (tmp_path / "artifacts").as_uri())).info.run_id
    model_id = logged_models.find_or_log(client, run, tmp_path / "model", "source", {})
    registry.Registry(tmp_path, "source").add(model_id, ["champion"], {"headstart.key": "k"})
    return network


def ask_registry(name, folder):
    ask = BackboneRequest(name, True, {"frozen": ("head",)})
    fetch(ask, {}, folder, folder / "weights", partial(registry.fetch, folder))


@pytest.mark.parametrize("name", ["models:/source@champion", "models:/source/1"])
def test_a_registered_model_is_fetched_with_its_architecture(registered, tmp_path, name):
    ask_registry(name, tmp_path)
    backbone = WeightStore(tmp_path / "weights").find(name)
    found = backbone.row
    assert (found.architecture, found.stages, found.mean, found.origin) == (
        "resnet10t", 4, (0.1, 0.2, 0.3), "models:/source/1"
    )  # fmt: skip
    spec = describe(Recipe(backbone=name, weights="pretrained", cut="head", **RECIPE), found, ("x", "y", "z"), 32, 3,
                    ("identity",))  # fmt: skip
    network = Network(spec)
    backbone.load(network.backbone)
    for key, tensor in registered.backbone.state_dict().items():
        assert torch.equal(network.backbone.state_dict()[key], tensor), key


@pytest.mark.parametrize("name", ["models:/source@best", "models:/source/9", "models:/other@champion"])
def test_a_model_that_is_not_registered_is_named_with_those_that_are(registered, tmp_path, name):
    with pytest.raises(UserError, match=rf"strategies.frozen: .* has no {name} \(its models: source\)"):
        ask_registry(name, tmp_path)
    assert not (tmp_path / "weights").exists()


def rows(params, **recipes):
    """Return params with these rows alone, made small."""
    params["enabled"] = list(recipes)
    space = {"dropout": {"low": 0, "high": 0.5}}
    params["strategies"] = {name: {**TUNED, "recipe": {**RECIPE, **recipe}, "space": space}
                            for name, recipe in recipes.items()}  # fmt: skip
    params["train"]["fractions"] = [1]
    params["register"]["min_gain_over_majority"] = 0
    return params


@pytest.mark.slow
def test_networks_of_torchvision_go_through_the_whole_pipeline(tmp_path, monkeypatch):
    hub = tmp_path / "torch" / "hub" / "checkpoints"
    hub.mkdir(parents=True)
    states = {}
    for name in ("resnet50", "vgg16"):
        torch.manual_seed(len(name))
        states[name] = torchvision.models.get_model(name).state_dict()
        torch.save(states[name], hub / Path(torchvision.models.get_model_weights(name).DEFAULT.url).name)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))

    def change(params):
        params["data"] |= {"name": "tiny", "path": "raw"}
        params["download"], params["prepare"]["stratify"] = [], ["camera"]
        params["backbone_aliases"] = {"r50": "torchvision/resnet50"}
        return rows(params, frozen={"backbone": "torchvision/vgg16", "weights": "pretrained", "cut": "head"},
                    finetune={"backbone": "r50", "weights": "pretrained", "cut": "late"})  # fmt: skip

    clone = Clone((tmp_path / "clone").absolute()) if (tmp_path / "clone").mkdir() is None else None
    lay_out_images(clone.root / "raw")
    clone.edit(change)
    stages, said = clone.repro()
    assert "weights" in stages
    assert "is not the" in said  # the hashes in the files' names are those of the real ones
    for strategy, name in (("frozen", "vgg16"), ("finetune", "resnet50")):
        spec = json.loads((clone.root / "models" / strategy / "model.json").read_text())
        assert (spec["library"], spec["architecture"], spec["mean"]) == ("torchvision", name, [0.485, 0.456, 0.406])
    weight_store = WeightStore(clone.root / "data" / "weights")
    for name, key in (("r50", "resnet50"), ("torchvision/vgg16", "vgg16")):
        recipe = Recipe(backbone=name, weights="pretrained", cut="head", **RECIPE)
        backbone = weight_store.find(name)
        network = Network(describe(recipe, backbone.row, ("a", "b"), 32, 1, ("identity",)))
        backbone.load(network.backbone)
        assert all(torch.equal(tensor, states[key][part]) for part, tensor in network.backbone.state_dict().items())
    assert clone.repro()[0] == []


@pytest.mark.slow
def test_what_one_task_learned_is_the_backbone_of_the_next(tmp_path):
    clone = Clone(tmp_path)

    def source(params):
        params["data"]["label"], params["prepare"]["stratify"] = "cell_type", ["label"]
        params["register"]["model"] = "cells"
        return rows(params, pretrain={"backbone": "compact", "weights": "random", "cut": "input", "epochs": 2})

    clone.edit(source)
    clone.repro()
    weights = clone.root / "models" / "pretrain" / "model.safetensors"
    learned = weights.read_bytes()

    def target(params):
        params["data"]["label"], params["prepare"]["stratify"] = "label", ["cell_type"]
        params["register"]["model"] = "defects"
        params["backbone_aliases"] = {"cells": "models:/cells@champion"}
        own = {"backbone": "cells", "weights": "pretrained"}
        return rows(params, frozen={**own, "cut": "head"}, finetune={**own, "cut": "middle"})

    clone.edit(target)
    clone.repro()
    brought = WeightStore(clone.root / "data" / "weights")
    assert brought.find("cells").row.origin == "models:/cells/1"
    (tmp_path / "source.safetensors").write_bytes(learned)

    theirs = load_file(tmp_path / "source.safetensors")
    ours = load_file(clone.root / "models" / "frozen" / "model.safetensors")
    names = [name for name in ours if name.startswith("backbone.")]
    assert names
    assert all(torch.equal(ours[name], theirs[name]) for name in names)
    client = MlflowClient(f"sqlite:///{clone.root / 'mlflow.db'}")
    assert {model.name for model in client.search_registered_models()} == {"cells", "defects"}
    assert "MLFLOW_TRACKING_URI" not in os.environ
