import pytest
import torch

from pipeline.common.errors import UserError
from pipeline.network import architectures
from pipeline.network.architectures import blueprint, fitted, nominal


def made(name: str, size: int, **options):
    library, _, architecture = name.partition("/")
    return blueprint(library, architecture, fitted(library, architecture, options, size), size)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("timm/vit_tiny_patch16_224", {"img_size": 96}),
        ("timm/resnet18", {}),
        ("torchvision/vit_b_32", {"image_size": 96}),
        ("torchvision/maxvit_t", {"input_size": [96, 96]}),
        ("torchvision/swin_t", {}),
    ],
)
def test_architectures_made_for_one_size_are_given_it(name, options):
    assert fitted(*name.split("/"), {}, 96) == options


def test_options_of_the_catalog_come_first():
    assert fitted("timm", "vit_tiny_patch16_224", {"img_size": 64, "depth": 2}, 96) == {"img_size": 64, "depth": 2}
    assert fitted("timm", "vit_tiny_patch16_224", {"dynamic_img_size": True}, 96) == {"dynamic_img_size": True}


def test_a_blueprint_has_shapes_and_no_content():
    assert {p.device.type for p in made("timm/vit_tiny_patch16_224", 32).parameters()} == {"meta"}
    assert not made("torchvision/regnet_y_400mf", 32).training  # which cannot be made there, and is brought


def test_a_blueprint_draws_no_random_number():
    state = torch.get_rng_state()
    made("torchvision/regnet_y_400mf", 32)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("name", "size", "sizes"),
    [
        ("torchvision/alexnet", 32, (64, 75)),
        ("torchvision/inception_v3", 64, (75, 80)),
        ("torchvision/vit_b_32", 100, (96, 128)),
        ("torchvision/maxvit_t", 256, (224, 448)),
        pytest.param("timm/crossvit_tiny_240", 48, (240,), marks=pytest.mark.slow),
        pytest.param("timm/maxvit_rmlp_pico_rw_256", 100, (96, 128), marks=pytest.mark.slow),
    ],
)
def test_a_size_that_does_not_fit_is_refused_with_sizes_that_do(name, size, sizes):
    refused(name, size, sizes)


@pytest.mark.parametrize(
    ("name", "size", "sizes"),
    [("timm/crossvit_tiny_240", 48, (240,)), ("timm/maxvit_rmlp_pico_rw_256", 100, (96, 128))],
)
def test_of_few_sizes_those_that_work_are_named(name, size, sizes, few_sizes):
    refused(name, size, sizes)


def refused(name, size, sizes):
    with pytest.raises(UserError) as error:
        made(name, size)
    text = str(error.value)
    assert text.startswith(f"image_size: backbone {name} cannot take images of {size} pixels (")
    assert text.endswith(f"; sizes that work: {', '.join(map(str, sizes))}")
    assert "\n" not in text


def test_options_that_no_size_mends_are_named():
    with pytest.raises(UserError, match=r"timm/resnet18 with options \{'colour': 1\} cannot be used: .*colour"):
        made("timm/resnet18", 32, colour=1)


@pytest.fixture
def few_sizes(monkeypatch):
    """Try few sizes: of a network with many modules each takes a second."""
    monkeypatch.setattr(architectures, "SIZES", (64, 96, 128))


def test_a_network_that_does_not_pool_its_features_is_refused(few_sizes):
    with pytest.raises(UserError, match=r"resnet18 .*it returns \(512, 1, 1\) for an image, not 512 pooled features"):
        made("timm/resnet18", 32, global_pool="")


@pytest.mark.parametrize(
    ("library", "architecture", "size"),
    [("timm", "test_vit", 160), ("torchvision", "resnet18", 224), ("torchvision", "inception_v3", 299)],
)
def test_the_size_that_an_architecture_was_made_for(library, architecture, size):
    assert nominal(library, architecture) == size
