"""Laws that networks of every family keep: cut anywhere, trained from the middle, saved and served."""

from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from pipeline.config.backbone_table import resolve
from pipeline.config.recipe import Recipe
from pipeline.data.image_set import ImageSet
from pipeline.inference.classifier import Classifier
from pipeline.inference.network import Network
from pipeline.network.build import build, save_model
from pipeline.network.cut import describe, place, split, stages
from pipeline.network.devices import running
from pipeline.training.feature_pass import Pixels, shapes, storage
from pipeline.training.loop import Fit
from pipeline.training.samples import Samples
from tests.support.networks import Live, count_stages

CPU = torch.device("cpu")
QUICK = {"torchvision/squeezenet1_1": 32, "torchvision/mobilenet_v3_small": 32, "timm/test_vit": 32}
TORCHVISION = {
    "alexnet": 64,
    "vgg11_bn": 32,
    "resnet18": 32,
    "resnext50_32x4d": 32,
    "wide_resnet50_2": 32,
    "densenet121": 32,
    "googlenet": 32,
    "inception_v3": 75,
    "mobilenet_v2": 32,
    "shufflenet_v2_x0_5": 32,
    "mnasnet0_5": 32,
    "efficientnet_b0": 32,
    "efficientnet_v2_s": 32,
    "regnet_y_400mf": 32,
    "convnext_tiny": 32,
    "vit_b_32": 32,
    "swin_t": 32,
    "swin_v2_t": 32,
    "maxvit_t": 224,
}
TIMM = {
    "resnet10t": 32,  # as are the next, of a family whose stages are listed
    "efficientnet_b0": 32,
    "test_resnet": 32,
    "mobilenetv3_small_050": 32,
    "test_convnext": 32,
    "deit_tiny_distilled_patch16_224": 32,
    "swin_tiny_patch4_window7_224": 64,
    "regnetx_002": 32,
    "mixer_s32_224": 32,
    "densenet121": 32,
    "xcit_nano_12_p16_224": 32,
    "levit_128s": 128,
    "edgenext_xx_small": 40,
    "test_nfnet": 32,
    "test_maxvit": 32,
    "eva02_tiny_patch14_224": 28,
    "hrnet_w18_small": 32,
    "legacy_xception": 64,
    "beit_base_patch16_224": 32,
}
SLOW = {f"torchvision/{name}": size for name, size in TORCHVISION.items()}
SLOW |= {f"timm/{name}": size for name, size in TIMM.items()}
EVERY = [*QUICK.items(), *(pytest.param(item, marks=pytest.mark.slow) for item in SLOW.items())]
WORDS = ("early", "middle", "late")


def recipe(name: str, size: int, **wanted: Any) -> Recipe:
    plain = {"weights": "random", "cut": "middle", "epochs": 1, "learning_rate": 0.01, "batch_size": 4}
    return Recipe(backbone=name, image_size=size, **{**plain, **wanted})


@pytest.fixture(scope="module", params=EVERY, ids=lambda item: item[0])
def member(request) -> tuple[str, int]:
    return request.param


@pytest.fixture(scope="module")
def network(member, image_set) -> Network:
    return build(recipe(*member), image_set, 1)


def batch(images: ImageSet, count: int = 3) -> torch.Tensor:
    return Pixels(images.images, ("identity",)).take(np.arange(count), np.zeros(count, dtype=np.int64))


def test_it_can_be_cut_anywhere(network, member, image_set):
    network.eval()
    with torch.inference_mode():
        whole = network(batch(image_set))
        for cut in range(len(stages(network))):
            stem, body = split(network, cut)
            assert torch.equal(body(stem(batch(image_set))), whole), cut


def test_every_parameter_is_on_one_side_of_every_cut_alone(network):
    modules = stages(network)
    owned = [id(p) for module in modules for p in set(module.parameters())]
    assert sorted(owned) == sorted({id(p) for p in network.parameters()})
    assert all(list(module.parameters()) for module in modules)


@pytest.mark.slow
@pytest.mark.parametrize("name", torchvision.models.list_models(module=torchvision.models))
def test_each_network_of_torchvision_has_as_many_stages_as_the_docs_say(name):
    assert 4 <= count_stages(f"torchvision/{name}") <= 12


def test_it_has_stages_enough_and_the_number_is_known_without_weights(network, member):
    count = len(stages(network)) - 1
    assert 3 <= count <= 12
    assert count == count_stages(member[0]) == count_stages(*member)
    places = [place(network, word) for word in WORDS]
    assert places == sorted(places)
    assert 1 <= places[0] <= places[-1] < count


def test_later_stages_leave_what_an_earlier_one_gave_as_it_is(network, image_set):
    """A pass keeps what it makes at several cuts."""
    network.eval()
    x, kept = batch(image_set), []
    with torch.inference_mode(), running(CPU, "float32"):
        for stage in stages(network):
            x = stage(x)
            kept.append((x, x.clone()))
    assert all(torch.equal(made, copy) for made, copy in kept)


def test_in_training_its_stages_do_what_the_whole_does(network, image_set):
    outputs = []
    for whole in (network, nn.Sequential(*stages(network))):
        torch.manual_seed(1)  # dropout and stochastic depth
        outputs.append(whole.train()(batch(image_set)))
    assert torch.equal(*outputs)


def test_training_from_the_middle_changes_the_body_and_no_bit_of_the_stem(network, member, image_set):
    stem, body = split(network, "middle")
    inputs = Live(stem, Pixels(image_set.images, ("identity", "hflip")))
    frozen = {name: tensor.clone() for name, tensor in stem.state_dict().items()}
    learned = {name: p.detach().clone() for name, p in body.named_parameters()}
    loss = Fit(body, recipe(*member), 1, CPU).epoch(Samples(inputs, image_set.labels, np.arange(8)))
    assert np.isfinite(loss)
    assert all(torch.equal(tensor, frozen[name]) for name, tensor in stem.state_dict().items())
    still = [name for name, p in body.named_parameters() if torch.equal(p, learned[name])]
    assert len(still) < len(learned) / 10  # biases that begin at zero behind a branch that does
    assert not any(p.grad is None for p in body.parameters())


def test_it_is_saved_and_served_with_the_same_predictions(network, member, image_set, tmp_path):
    spec = describe(recipe(*member), resolve(member[0]), image_set.classes, image_set.size, image_set.channels,
                    ("identity",))  # fmt: skip
    save_model(network.eval(), spec, tmp_path)
    images = image_set.images[:3].copy()
    with torch.inference_mode():
        wanted = network(torch.from_numpy(images).permute(0, 3, 1, 2)).double().softmax(1)
    found = Classifier(tmp_path).predict(images)
    np.testing.assert_allclose(found.filter(like="p_").to_numpy(), wanted.numpy(), rtol=1e-6)


def test_maps_are_stored_in_half_precision_and_tokens_in_single(network, image_set):
    made = shapes(stages(network)[:-1], Pixels(image_set.images, ("identity",)), CPU)
    for shape in made.values():
        assert storage(shape) == (np.float16 if len(shape) == 4 else np.float32)
    assert len(made[max(made)]) == 2
