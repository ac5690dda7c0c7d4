from dataclasses import replace
from typing import Any

import pytest
import torch

import pipeline.network.cut
from pipeline.common.errors import UserError
from pipeline.config.backbone_table import BACKBONES, resolve
from pipeline.inference.network import Network
from pipeline.network.cut import SHARES, describe, place, position, split, stages
from pipeline.network.fx_tracing import Stage, UntraceableError
from pipeline.training.feature_pass import weights_digest
from tests.support.networks import count_stages, every_backbone, images, recipe, spec

EVERY_CUT = [(name, cut) for name, row in BACKBONES.items() for cut in range(row.stages + 1)]


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


def row(name: str, **wanted: Any) -> dict[str, Any]:
    made = recipe(name, **wanted)
    return describe(made, resolve(name), ("a", "b", "c"), 40, 1, ("identity",))


@pytest.mark.parametrize(("word", "places"), [("early", [1, 2]), ("middle", [2, 4]), ("late", [3, 5])])
def test_cuts_in_words_are_a_quarter_half_and_three_quarters_of_the_stages(word, places):
    assert [place(Network(spec(name)), word) for name in ("compact", "efficientnet_lite0")] == places


@pytest.mark.parametrize("word", SHARES)
@pytest.mark.parametrize("stages", range(1, 40))
def test_a_cut_in_words_leaves_stages_before_it_and_behind_it(word, stages):
    assert 1 <= position(word, stages) <= max(stages - 1, 1)
    assert abs(position(word, stages) - SHARES[word] * stages) <= (0.5 if stages > 2 else 1)


def test_where_one_tensor_alone_never_passes_there_is_one_stage_and_input_and_head_are_cuts():
    network = Network(row("timm/crossvit_tiny_240", image_size=240)).eval()  # two rows of tokens all the way
    assert count_stages("timm/crossvit_tiny_240") == len(stages(network)) - 1 == 1
    with torch.inference_mode():
        for cut in ("input", "early", "head"):
            stem, body = split(network, cut)
            assert torch.equal(body(stem(images())), network(images()))


def test_stages_that_a_family_lists_are_the_same_for_all_its_plain_members():
    assert count_stages("timm/resnet18") == 4
    assert len(stages(Network(row("timm/resnet18")))) == 5
    assert not any(isinstance(part, Stage) for part in Network(row("timm/resnet18")).modules())


def test_stages_are_found_in_inference_mode_too():
    with torch.inference_mode():
        assert len(stages(Network(row("timm/test_vit", image_size=48)))) == 7


def test_a_backbone_that_takes_another_way_in_training_is_one_stage(monkeypatch):
    def refuse(*asked):
        raise UntraceableError("it does other things in training")

    monkeypatch.setattr(pipeline.network.cut, "begins", refuse)
    network = Network(row("timm/test_vit", image_size=80)).eval()
    pipeline.network.cut._begins.cache_clear()
    assert [type(part).__name__ for part in stages(network)] == ["Sequential", "Sequential"]
    stem, body = split(network, "head")
    with torch.inference_mode():
        assert torch.equal(body(stem(images())), network(images()))


def test_dropout_before_the_classifier_of_a_listed_family_is_not_lost():
    made = row("timm/resnet10t")
    network = Network({**made, "options": {"drop_rate": 0.5}})
    outputs = []
    for whole in (network, torch.nn.Sequential(*stages(network))):
        torch.manual_seed(1)
        outputs.append(whole.train()(images().float()))
    assert torch.equal(*outputs)


def test_stages_hold_the_network_s_own_weights_and_names_in_its_state_stay():
    network = Network(row("torchvision/resnet18"))
    before = {name: tensor.data_ptr() for name, tensor in network.state_dict().items()}
    for part in stages(network):
        part.to("cpu").train()
    assert {name: tensor.data_ptr() for name, tensor in network.state_dict().items()} == before
    assert "backbone.layer1.0.conv1.weight" in before


def test_stages_of_two_networks_alike_have_one_digest():
    digests = []
    for _ in range(2):
        torch.manual_seed(0)
        digests.append([weights_digest(part) for part in stages(Network(row("timm/test_vit")))])
    assert digests[0] == digests[1]
    assert len(set(digests[0])) == len(digests[0])


def test_a_spec_says_the_library_and_the_interpolation_only_where_they_are_not_the_usual():
    assert not {"library", "interpolation"} & set(spec("compact"))
    assert row("torchvision/resnet18")["library"] == "torchvision"
    backbone = replace(BACKBONES["compact"], interpolation="bicubic")
    assert describe(recipe("compact"), backbone, ("a",), 40, 1, ("identity",))["interpolation"] == "bicubic"
