import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.common.code_digest import LEFT_OUT
from pipeline.common.errors import UserError
from pipeline.config.backbone_table import BACKBONES, Backbone
from pipeline.config.features import Features
from pipeline.config.params import Runtime
from pipeline.config.recipe import Recipe
from pipeline.training.run_context import RunContext, make_run_context, unit_folder
from pipeline.training.unit import unit
from tests.support.imports import PACKAGE, counted_modules
from tests.support.kinds import every_kind, recipe

CHANGES: dict[str, Callable[[Recipe, RunContext], tuple[Recipe, RunContext, int]]] = {
    "seed": lambda r, s: (r, s, 2),
    "recipe": lambda r, s: (r.model_copy(update={"dropout": 0.3}), s, 1),
    "views": lambda r, s: (r, replace(s, views=("identity", "vflip")), 1),
    "averaged views": lambda r, s: (r, replace(s, scored=("identity",)), 1),
    "class_weight_power": lambda r, s: (r.model_copy(update={"class_weight_power": 0.5}), s, 1),
    "data": lambda r, s: (r, replace(s, dev=replace(s.dev, digest="another")), 1),
    "validation share": lambda r, s: (r, replace(s, valid_fraction=0.3), 1),
    "threads": lambda r, s: (r, replace(s, threads=2), 1),
    "device": lambda r, s: (r, replace(s, device=torch.device("cuda")), 1),
    "devices": lambda r, s: (r, replace(s, devices=2), 1),
    "micro_batch": lambda r, s: (r, replace(s, micro_batch=4), 1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_all_that_changes_a_result_changes_its_folder(change, context):
    assert unit_folder(*CHANGES[change](recipe(), context)) != unit_folder(recipe(), context, 1)


def test_what_does_not_change_a_result_does_not_change_its_folder(context):
    other = replace(context, cuts=(1, 2))
    assert unit_folder(recipe(), other, 1) == unit_folder(recipe(), context, 1)
    moved = replace(context, work=Path("elsewhere"))
    assert unit_folder(recipe(), moved, 1).name == unit_folder(recipe(), context, 1).name


def test_one_device_and_whole_batches_are_as_if_there_were_no_others(context):
    assert not {"devices", "micro_batch"} & set(context.identity())


def test_how_many_devices_there_are_does_not_change_a_head_on_fixed_features(context):
    many, head = replace(context, devices=4, micro_batch=8), recipe("frozen")
    assert unit_folder(head, many, 1) == unit_folder(head, context, 1)
    assert unit(head, many, 1) == unit(head, context, 1)


def test_a_unit_that_devices_share_is_not_trained_by_one_process_under_their_name(context):
    with pytest.raises(AssertionError):
        unit(recipe(), replace(context, devices=2), 1)


@every_kind
def test_the_code_that_runs_in_a_unit_is_in_its_key_but_for_what_changes_no_number(kind, context, test_set):
    used: set[Path] = set()
    sys.setprofile(lambda frame, event, arg: used.add(Path(frame.f_code.co_filename)))
    try:
        unit(recipe(kind, epochs=1), context, 1, test=test_set)
    finally:
        sys.setprofile(None)
    ran = {path.relative_to(PACKAGE).with_suffix("").as_posix() for path in used if PACKAGE in path.parents}
    assert {"training/unit", "training/loop", "network/cut"} <= ran
    others = {name for name in ran - counted_modules("units") if not f"pipeline/{name}.py".startswith(LEFT_OUT)}
    assert others <= {"common/syntax"}  # reads the code itself


OTHER: dict[str, Any] = {
    "architecture": "resnet18",
    "stages": 5,
    "library": "torchvision",
    "options": {"channels": (16, 32, 64, 128), "stem_width": 8},
    "mean": (0.5, 0.5, 0.4),
    "std": (0.5, 0.5, 0.4),
    "size": 24,
    "interpolation": "bicubic",
}
ELSEWHERE = {"package": "some_weights", "origin": "timm", "licence": "MIT"}


def test_each_backbone_s_units_follow_its_own_row_but_for_where_weights_come_from(context, monkeypatch):
    row, before = BACKBONES["compact"], unit_folder(recipe(), context, 1)
    assert {field.name for field in fields(Backbone)} == {*OTHER, *ELSEWHERE}
    for name, value in {**OTHER, **ELSEWHERE}.items():
        assert getattr(row, name) != value
        monkeypatch.setitem(BACKBONES, "compact", replace(row, **{name: value}))
        assert (unit_folder(recipe(), context, 1) == before) == (name in ELSEWHERE), name
    monkeypatch.setitem(BACKBONES, "compact", row)
    monkeypatch.setitem(BACKBONES, "another", replace(row, size=64))
    monkeypatch.setitem(BACKBONES, "efficientnet_lite0", replace(BACKBONES["efficientnet_lite0"], size=64))
    assert unit_folder(recipe(), context, 1) == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_more_gpus_than_there_are_are_named(image_set, tmp_path):
    features = Features(views=("identity",), tta=False)
    with pytest.raises(UserError, match=r"runtime\.devices: 1000 .* lower it"):
        make_run_context(image_set, 0.2, features, tmp_path, Runtime(threads=1, device="cuda", devices=1000))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_a_missing_gpu_is_named(image_set, tmp_path):
    features = Features(views=("identity",), tta=False)
    with pytest.raises(UserError, match=r"runtime\.device: cuda .* use cpu or auto"):
        make_run_context(image_set, 0.2, features, tmp_path, Runtime(threads=1, device="cuda"))
    assert make_run_context(image_set, 0.2, features, tmp_path, Runtime(threads=1, device="auto")).device.type == "cpu"
