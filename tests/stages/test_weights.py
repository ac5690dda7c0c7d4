import json

import pytest
import timm
import torch
from safetensors.torch import load_file

from pipeline.config.params import load
from pipeline.config.recipe import Recipe
from pipeline.network.build import build
from pipeline.network.pretrained import WeightStore
from pipeline.stages.weights import main
from pipeline.training.run_context import make_run_context, unit_folder
from tests.config.test_strategies import FEATURES, RUNTIME


@pytest.fixture
def run(small_params, write_params, tmp_path):
    """A function that runs the stage with one strategy on a backbone; returns the exit code."""

    def call(backbone, catalog, **wanted):
        row = small_params["strategies"]["frozen"]
        row["recipe"] |= {"backbone": backbone, **wanted}
        row["space"].pop("head", None)  # some are for one cut alone
        params = write_params(tmp_path, small_params | {"backbone_aliases": catalog, "enabled": ["frozen"]})
        return main(["--params", str(params), "--out", str(tmp_path / "weights")])

    return call


@pytest.fixture
def mine(tmp_path):
    """A checkpoint as a training script leaves it."""
    torch.manual_seed(5)
    network = timm.create_model("resnet10t", num_classes=7)
    torch.save({"state_dict": {f"module.{k}": v for k, v in network.state_dict().items()}}, tmp_path / "mine.pt")
    return network


MINE = {"mine": {"architecture": "timm/resnet10t", "weights": "mine.pt", "mean": [0.1, 0.2, 0.3], "licence": "MIT"}}
RECIPE = {"weights": "pretrained", "cut": "head", "image_size": 32, "epochs": 1, "learning_rate": 0.1}


def test_packaged_backbones_need_nothing_brought(small_params, write_params, tmp_path):
    params = write_params(tmp_path, small_params)
    assert main(["--params", str(params), "--out", str(tmp_path / "weights")]) == 0
    assert [path.name for path in (tmp_path / "weights").iterdir()] == ["index.json"]
    assert json.loads((tmp_path / "weights" / "index.json").read_text()) == {}


def test_a_file_of_the_users_own_is_brought_and_loaded(run, mine, tmp_path, capsys, image_set):
    assert run("mine", MINE) == 0
    assert "mine: ignored, as the classifier of the source task: fc.weight, fc.bias" in capsys.readouterr().out
    folder = tmp_path / "weights" / "mine"
    about = json.loads((folder / "about.json").read_text())
    assert (about["backbone"]["stages"], about["backbone"]["mean"], about["backbone"]["licence"]) == (
        4, [0.1, 0.2, 0.3], "MIT"
    )  # fmt: skip
    assert about["source"] == "mine.pt"
    assert about["bytes"] == (folder / "model.safetensors").stat().st_size
    network = build(Recipe(backbone="mine", **RECIPE), image_set, 1, WeightStore(tmp_path / "weights").find("mine"))
    theirs = mine.state_dict()
    assert load_file(folder / "model.safetensors").keys() == network.backbone.state_dict().keys()
    for name, tensor in network.backbone.state_dict().items():
        assert torch.equal(tensor, theirs[name]), name
    assert network.preprocess.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])


def test_a_unit_is_identified_by_the_weights_it_starts_from(run, mine, tmp_path, image_set):
    def unit(**wanted):
        context = make_run_context(
            image_set, 0.2, FEATURES, tmp_path, RUNTIME, weight_store=WeightStore(tmp_path / "weights")
        )
        return unit_folder(Recipe(**{"backbone": "mine", **RECIPE, **wanted}), context, 1)

    run("mine", MINE)
    first, random = unit(), unit(weights="random")
    assert first == unit()
    state = torch.load(tmp_path / "mine.pt", weights_only=True)
    state["state_dict"]["module.conv1.0.weight"] += 1
    torch.save(state, tmp_path / "mine.pt")
    run("mine", MINE)
    assert unit() != first
    assert unit(weights="random") == random


def test_a_cut_past_the_end_is_refused_before_any_weights_are_sought(run, capsys):
    assert run("timm/resnet10t", {}, cut=9) == 2
    said = capsys.readouterr().err
    assert (
        "strategies.frozen: backbone timm/resnet10t: cut: 9 is past the end; this backbone can be cut at 0 to 4" in said
    )


def test_a_random_backbone_is_described_and_no_weights_are_sought(run, tmp_path):
    assert run("timm/resnet10t", {}, weights="random") == 0
    folder = tmp_path / "weights" / "timm.resnet10t"
    assert [path.name for path in folder.iterdir()] == ["about.json"]
    assert load(tmp_path / "params.yaml").enabled == ("frozen",)


def test_a_file_that_is_not_there_is_named(run, capsys):
    assert run("mine", MINE) == 2
    assert "mine.pt: no such file; name another file in `backbone_aliases`" in capsys.readouterr().err
