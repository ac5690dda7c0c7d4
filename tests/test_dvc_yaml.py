"""dvc.yaml and params.yaml fit the stages: their commands, paths and settings, and what tune may see."""

import ast
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config.cluster import Cluster
from pipeline.config.features import Features
from pipeline.config.params import Prepare
from pipeline.config.recipe import Recipe
from pipeline.config.strategies import Search
from tests.support.imports import ROOT
from tests.support.structure import House

CROSSED = ("tune-on", "train-on")  # the same stages, for the strategies that are run on other backbones too
MOST_LINES = 200

HOUSE = House(ROOT)
STAGES = HOUSE.own_stages()


@pytest.fixture(scope="module")
def dvc() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))


def stage_of(dvc: dict[str, Any], name: str) -> dict[str, Any]:
    stage = dvc["stages"][name]
    return stage.get("do", stage)


def test_it_can_be_read_in_a_minute():
    assert len((ROOT / "dvc.yaml").read_text(encoding="utf-8").splitlines()) < MOST_LINES


def test_every_stage_has_a_file_and_every_file_a_stage_that_runs_it(dvc):
    assert sorted(dvc["stages"]) == sorted([*STAGES, *CROSSED])
    for name in STAGES:
        assert stage_of(dvc, name)["cmd"].startswith(f"python -m pipeline.stages.{name} ")


def test_a_crossed_stage_is_the_plain_one_but_for_what_it_is_run_with(dvc):
    for name in CROSSED:
        plain, per_backbone = dict(dvc["stages"][name.removesuffix("-on")]), dict(dvc["stages"][name])
        assert plain.pop("matrix") == {"strategy": "${enabled}"}
        assert per_backbone.pop("matrix") == {"strategy": "${per_backbone}", "backbone": "${backbones}"}
        assert per_backbone == plain


def test_every_path_a_stage_writes_is_in_its_command(dvc):
    for name in STAGES:
        stage = stage_of(dvc, name)
        for out in stage["outs"]:
            assert any(Path(word) in (Path(out), *Path(out).parents) for word in stage["cmd"].split()[3:]), (name, out)


def chains(node: ast.AST) -> set[str]:
    """Return the dotted keys that code reads from the name `params`, as params.yaml writes them."""
    parts, inner = [], node
    while isinstance(inner, ast.Attribute):
        parts, inner = [inner.attr, *parts], inner.value
    if parts and isinstance(inner, ast.Name) and inner.id == "params":
        return spelled(".".join(parts))
    return set().union(*map(chains, ast.iter_child_nodes(node)))


def spelled(key: str) -> set[str]:
    """Return what a key is called in params.yaml; the names of arms follow from three keys."""
    key = re.sub(r"^register_\b", "register", key)
    return {"strategy": {"strategies.${item.strategy}"}, "own": {"backbone_aliases"},
            "arms": {"enabled", "backbones", "per_backbone"},
            "largest_image_size": {"strategies", "enabled", "backbones", "per_backbone"}}.get(key, {key})  # fmt: skip


def covers(declared: str, read: str) -> bool:
    return read == declared or read.startswith(f"{declared}.")


# Not declared: no result depends on it, so that another machine may have another number.
FREE = {"search.workers", "prepare.workers", "features.cache_gb", *(f"cluster.{key}" for key in Cluster.model_fields)}


def settings_read(code: ast.AST) -> set[str]:
    """Return the keys that code reads; those of a section with a free key one by one."""
    read = chains(code)
    for name, section in (("search", Search), ("prepare", Prepare), ("features", Features), ("cluster", Cluster)):
        if name in read:
            read = read - {name} | {f"{name}.{field}" for field in section.model_fields}
    return read - FREE


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_declares_every_setting_it_reads_and_reads_every_one_it_declares(dvc, name):
    code = HOUSE.files[f"stages/{name}"].read_text(encoding="utf-8")
    declared, read = stage_of(dvc, name).get("params", []), settings_read(ast.parse(code))
    assert [key for key in read if not any(covers(d, key) for d in declared)] == []
    assert [d for d in declared if not any(covers(d, key) for key in read)] == []
    assert [key for key in FREE if any(covers(d, key) for d in declared)] == []


def test_settings_are_read_off_the_code_as_dvc_names_them():
    code = "f(params.register_, params.register_.d, params.a.b, params.c, params.c.d)"
    code += "; g(args.params.e, params.strategy(x), params.arms)"
    found = {
        "register",
        "register.d",
        "a.b",
        "c",
        "c.d",
        "strategies.${item.strategy}",
        "enabled",
        "backbones",
        "per_backbone",
    }
    assert chains(ast.parse(code)) == found


@pytest.mark.parametrize("name", ["tune", "describe"])
def test_a_stage_that_is_not_to_see_the_test_split_never_does(dvc, capsys, name):
    hidden = [Path(out) for out in stage_of(dvc, "prepare")["outs"] if Path(out).name == "test"]
    stage = stage_of(dvc, name)
    paths = [Path(word) for word in [*stage["cmd"].split(), *stage["deps"]]]
    assert hidden
    assert not [p for p in paths for h in hidden if p == h or p in h.parents[:-1] or h in p.parents]
    with pytest.raises(SystemExit):
        import_module(f"pipeline.stages.{name}").main(["--help"])
    assert not re.search(r"\btest\b", capsys.readouterr().out)


def test_every_key_of_a_recipe_or_a_space_is_a_field_of_the_recipe():
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for row in params["strategies"].values():
        assert {*row["recipe"], *row["space"]} <= set(Recipe.model_fields)
