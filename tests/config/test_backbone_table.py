import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.backbone_table import BACKBONES, folder_of, is_well_formed, resolve, told

FORMS = {
    "torchvision/resnet50": ("resnet50", "torchvision", "torchvision:DEFAULT"),
    "torchvision/resnet50@IMAGENET1K_V2": ("resnet50", "torchvision", "torchvision:IMAGENET1K_V2"),
    "timm/vit_tiny_patch16_224.augreg_in21k": ("vit_tiny_patch16_224.augreg_in21k", "timm", "timm"),
    "models:/cells@champion": ("", "timm", "models:/cells@champion"),
    "models:/cells/3": ("", "timm", "models:/cells/3"),
}


@pytest.mark.parametrize("name", BACKBONES)
def test_a_row_is_found_by_its_name_and_has_its_stages(name):
    assert resolve(name) is BACKBONES[name]
    assert BACKBONES[name].stages
    assert BACKBONES[name].has_weights == (name != "compact")


@pytest.mark.parametrize("name", FORMS)
def test_a_name_says_where_a_backbone_comes_from(name):
    found = resolve(name)
    assert (found.architecture, found.library, found.origin) == FORMS[name]
    assert found.has_weights
    assert is_well_formed(name)


@pytest.mark.parametrize("name", ["torchvision/", "torchvision/a@", "timm/a.b.c", "models:/cells", "models:/cells/0",
                                  "hub/resnet50", "../resnet50", ""])  # fmt: skip
def test_a_name_of_no_form_is_refused_with_those_there_are(name):
    assert not is_well_formed(name)
    with pytest.raises(ValueError, match=r"compact, efficientnet_lite0, .*torchvision/<network>.*backbone_aliases"):
        resolve(name)


def test_a_name_of_one_s_own_stands_for_a_backbone_or_for_a_network_with_a_file_of_weights():
    own = {
        "r50": "torchvision/resnet50",
        "mine": {"architecture": "timm/resnet18", "weights": "weights/mine.safetensors", "mean": (0.5, 0.5, 0.5)},
        "lite": {"architecture": "efficientnet_lite0", "licence": "MIT"},
    }
    assert resolve("r50", own) == resolve("torchvision/resnet50")
    mine = resolve("mine", own)
    assert (mine.architecture, mine.origin, mine.licence) == ("resnet18", "file:weights/mine.safetensors", "unknown")
    assert mine.mean == (0.5, 0.5, 0.5)
    lite = resolve("lite", own)
    assert (lite.package, lite.licence) == (BACKBONES["efficientnet_lite0"].package, "MIT")
    assert told("lite", own) == {"licence": "MIT"}
    assert told("r50", own) == told("compact", own) == {}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("vgg", r"backbone_aliases\.mine: 'vgg' is no backbone; use one of compact"),
        ("hub/vgg", r"backbone_aliases\.mine: 'hub/vgg' is no backbone; use torchvision"),
        ({"architecture": "vgg"}, r"backbone_aliases\.mine: 'vgg' is no backbone"),
        ({"architecture": "timm/resnet18", "weights": "a.bin"}, r"backbone_aliases\.mine\.weights: .*\.pth.*'a\.bin'"),
        ({"architecture": "models:/cells@best", "weights": "a.pt"}, r"brings its own weights; leave `weights` out"),
    ],
)
def test_a_name_of_one_s_own_that_leads_nowhere_is_refused_at_its_key(entry, said):
    with pytest.raises(ValueError, match=said):
        resolve("mine", {"mine": entry})


@given(st.sets(st.sampled_from([*BACKBONES, *FORMS, "timm/a", "timm/a.b", "models:/a/1", "models:/a@b"])))
def test_no_two_backbones_share_a_folder_and_none_leaves_its_own(names):
    folders = {folder_of(name) for name in names}
    assert len(folders) == len(names)
    assert not any("/" in folder for folder in folders)
