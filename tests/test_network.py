from typing import Any

import numpy as np
import pytest
import torch

from pipeline.catalog import BACKBONES
from pipeline.errors import UserError
from pipeline.models import build, save_model
from pipeline.network import describe, place, split, stages
from pipeline.recipe import Recipe
from pipeline.serving import Classifier, Network

every_backbone = pytest.mark.parametrize("backbone", sorted(BACKBONES))
EVERY_CUT = [(name, cut) for name, row in BACKBONES.items() for cut in range(row.stages + 1)]


def recipe(backbone: str, **wanted: Any) -> Recipe:
    plain = {"weights": "random", "cut": "input", "image_size": 32, "epochs": 1, "learning_rate": 0.001, "hidden": 8}
    return Recipe(**{**plain, "backbone": backbone, **wanted})


def spec(backbone: str, **wanted: Any) -> dict[str, Any]:
    return describe(recipe(backbone, **wanted), BACKBONES[backbone], ("a", "b", "c"), 40, 1, ("identity",))


def images(count: int = 3, channels: int = 1) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, channels, 40, 40), dtype=np.uint8))


@pytest.mark.parametrize(("backbone", "cut"), EVERY_CUT)
def test_a_network_can_be_cut_before_every_stage(backbone, cut):
    network = Network(spec(backbone)).eval()
    stem, body = split(network, cut)
    assert (len(stem), len(stem) + len(body)) == (cut, BACKBONES[backbone].stages + 1)
    with torch.inference_mode():
        assert torch.equal(body(stem(images())), network(images()))


@pytest.mark.parametrize(("backbone", "cut"), EVERY_CUT)
def test_every_parameter_is_in_the_stem_or_in_the_body_and_in_one_of_them_alone(backbone, cut):
    network = Network(spec(backbone))
    parts = [{id(p) for p in part.parameters()} for part in split(network, cut)]
    assert parts[0] | parts[1] == {id(p) for p in network.parameters()}
    assert not parts[0] & parts[1]


@every_backbone
def test_the_named_cuts_are_the_first_and_the_last(backbone):
    network = Network(spec(backbone))
    assert place(network, "input") == 0
    assert place(network, "head") == BACKBONES[backbone].stages
    assert list(split(network, "head")[1]) == [network.head]


@every_backbone
def test_a_cut_past_the_end_names_the_range(backbone):
    network = Network(spec(backbone))
    with pytest.raises(UserError, match=rf"cut: {BACKBONES[backbone].stages + 1} .* 0 to {BACKBONES[backbone].stages}"):
        split(network, BACKBONES[backbone].stages + 1)


def test_an_architecture_without_known_stages_is_refused_by_name():
    network = Network({**spec("compact"), "architecture": "vit_tiny_patch16_224", "options": {"img_size": 32}})
    with pytest.raises(UserError, match=r"VisionTransformer.*EfficientNet, ResNet"):
        stages(network)


@pytest.mark.parametrize("head", ["linear", "mlp"])
@every_backbone
def test_a_saved_network_is_rebuilt_from_its_spec_with_the_same_outputs(backbone, head, tmp_path):
    made = spec(backbone, head=head, dropout=0.5)
    network = Network(made)
    network.head[0].measure(torch.rand(5, network.features))
    network.train()(images().float())  # which moves BatchNorm's statistics
    save_model(network, made, tmp_path)
    rebuilt = Classifier(tmp_path).network
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors"]
    with torch.inference_mode():
        assert torch.equal(rebuilt(images()), network.eval()(images()))


def test_a_spec_keeps_all_that_a_recipe_says_of_the_network():
    made = spec("compact", head="mlp", hidden=9, dropout=0.4, image_size=24)
    head = Network(made).head
    assert [type(module).__name__ for module in head] == ["Standardize", "Linear", "GELU", "Dropout", "Linear"]
    assert (head[1].out_features, head[3].p, head[4].out_features) == (9, 0.4, 3)
    assert Network(made).preprocess(images()).shape == (3, 3, 24, 24)


@every_backbone
def test_grey_images_and_their_rgb_copies_look_alike_to_a_network(backbone, image_set):
    network = build(recipe(backbone), image_set, 1).eval()
    with torch.inference_mode():
        torch.testing.assert_close(network(images()), network(images().expand(-1, 3, -1, -1)))
