import io
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import nn

from pipeline.common.errors import UserError
from pipeline.config.backbone_table import BACKBONES, Backbone
from pipeline.network.pretrained import PACKAGED, LocalBackbone, load_pretrained

LITE = BACKBONES["efficientnet_lite0"]
with_weights = pytest.mark.parametrize("name", [name for name, row in BACKBONES.items() if row.package])


def model(row: Backbone) -> nn.Module:
    return timm.create_model(row.architecture, num_classes=0, **row.options)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An importable package `some_weights` to put .pth files into."""
    folder = tmp_path / "some_weights"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return folder


@with_weights
def test_the_whole_backbone_gets_the_package_s_weights(name):
    first, second = model(BACKBONES[name]), model(BACKBONES[name])
    for module in (first, second):
        load_pretrained(module, BACKBONES[name])
    other = model(BACKBONES[name]).state_dict()
    for key, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[key])
        if tensor.ndim == 4 or "running" in key:
            assert not torch.equal(tensor, other[key]), f"{key} was left as it was initialised"


@with_weights
def test_a_weights_file_of_another_architecture_is_refused(name):
    row = replace(BACKBONES[name], architecture="resnet18", options={})
    with pytest.raises(UserError, match=r"\.pth: .* does not fit conv1\.weight \(64, 3, 7, 7\) of resnet18; reinstall"):
        load_pretrained(model(row), row)


def test_a_weights_file_with_too_few_tensors_is_refused(package):
    torch.save(dict(list(model(LITE).state_dict().items())[:5]), package / "few.pth")
    with pytest.raises(UserError, match=r"few\.pth: holds 5 tensors, tf_efficientnet_lite0 needs 294; reinstall"):
        load_pretrained(model(LITE), replace(LITE, package="some_weights"))


def test_a_refused_file_leaves_the_network_as_it_was(package):
    module = model(LITE)
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    torch.save({key: tensor + 1 for key, tensor in list(before.items())[:5]}, package / "few.pth")
    with pytest.raises(UserError):
        load_pretrained(module, replace(LITE, package="some_weights"))
    assert all(torch.equal(tensor, before[key]) for key, tensor in module.state_dict().items())


def test_a_backbone_is_identified_by_its_row_and_by_what_its_weights_hold(package, tmp_path):
    def identity(weights: str, **wanted: Any) -> list[str | None]:
        return LocalBackbone(replace(LITE, **{"package": "some_weights", **wanted})).identity(weights)

    state = model(LITE).state_dict()
    torch.save(state, package / "a.pth")
    first = identity("pretrained")
    assert identity("random") == [first[0], None]
    assert identity("pretrained", mean=(0.1, 0.2, 0.3))[0] != first[0]
    for name, tensors in (("same_weights", state), ("more_weights", {k: v + 1 for k, v in state.items()})):
        shutil.copytree(package, tmp_path / name)
        torch.save(tensors, tmp_path / name / "a.pth")
    assert identity("pretrained", package="same_weights") == first
    assert identity("pretrained", package="more_weights")[0] == first[0]
    assert identity("pretrained", package="more_weights")[1] not in (None, first[1])


def test_weights_of_a_missing_package_are_missed_where_they_are_asked_for_alone():
    gone = LocalBackbone(replace(LITE, package="no_such_weights"))
    assert gone.identity("random")[1] is None
    with pytest.raises(UserError, match=r"no-such-weights: uv sync --group weights"):
        gone.identity("pretrained")


def test_weights_that_were_not_brought_are_named():
    for name in ("timm/resnet10t", "torchvision/resnet18"):
        with pytest.raises(UserError, match=r"there are no weights of resnet\w+ here; run: uv run dvc repro weights"):
            PACKAGED.find(name).load(nn.Linear(1, 1))


def saved(value: object, **options: bool) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


WHOLE = {"a": torch.zeros(1000), "b": torch.ones(3)}
DAMAGED = {
    "empty": b"",
    "text": b"<html>not found</html>",
    "zeros": bytes(1000),
    "half": saved(WHOLE)[:2500],
    "all but the end": saved(WHOLE)[:-10],
    "half of the old format": saved(WHOLE, _use_new_zipfile_serialization=False)[:2500],
    "garbled": saved(WHOLE).replace(b"ctorch._utils", b"ctorch.\xff\xfeils"),
    "a list": saved([torch.zeros(3)]),
    "one tensor": saved(torch.zeros(3)),
    "numbers": saved({"a": 1}),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_weights_file_is_named_with_what_to_do(damage, package):
    (package / "damaged.pth").write_bytes(DAMAGED[damage])
    with pytest.raises(
        UserError, match=r"damaged\.pth: (not a readable|expected tensors).*uv sync --reinstall-package some-weights$"
    ):
        load_pretrained(nn.Linear(2, 2), replace(LITE, package="some_weights"))


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, ("exploded", "w")


def test_a_weights_file_cannot_run_code(package, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Bomb()}, package / "bomb.pth")
    with pytest.raises(UserError, match=r"bomb\.pth: not a readable weights file \(UnpicklingError\)"):
        load_pretrained(model(LITE), replace(LITE, package="some_weights"))
    assert not Path("exploded").exists()


def test_a_missing_package_is_named_with_the_command_that_mends_it():
    row = replace(LITE, package="no_such_weights")
    with pytest.raises(UserError, match=r"no-such-weights: uv sync --group weights"):
        load_pretrained(model(row), row)


@pytest.mark.parametrize("count", [0, 2])
def test_a_package_with_no_file_or_two_is_damaged(count, package):
    for number in range(count):
        torch.save({}, package / f"{number}.pth")
    with pytest.raises(UserError, match=f"expected one .pth file, found {count}"):
        load_pretrained(model(LITE), replace(LITE, package="some_weights"))
