"""The house keeps its shape: floors, imports, dvc.yaml, params.yaml, sizes."""

import ast
import copy
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config.params import Features, Prepare
from pipeline.config.recipe import Recipe
from pipeline.config.strategies import Search
from tests.support.imports import PACKAGE, ROOT, closure, imported_files, imported_names, is_marker, relative

# A file imports from floors below its own alone.
FLOORS: list[set[str]] = [
    {"augment", "catalog", "checked", "convolution", "cost", "decoding", "errors", "evidence/influence",
     "evidence/laws", "evidence/transfer", "meters", "metrics", "provenance", "report/gallery", "report/plots",
     "rows", "seeding", "settings", "sources/cifar", "sources/torchvision_table", "steps", "twins", "wording"},
    {"checkpoints", "cli", "connection", "constraints", "contents", "devices", "evidence/bootstrap",
     "evidence/calibration", "evidence/curves", "executor", "facts", "grouping", "recipe", "records", "report/tables",
     "serving", "sources/arrays", "sources/class_folders", "sources/labels_table", "sources/layouts", "store",
     "tracing", "verdict/phrases", "verdict/standing"},
    {"architectures", "backbones", "data", "downloads", "evidence/comparison", "latency", "reading", "registry",
     "report/drawing", "serving_entry", "sources/elpv", "sources/fer2013", "sources/split_folders",
     "sources/torchvision_sets", "stages_of", "stem", "strategies", "terminal", "tracking", "training", "trials",
     "verdict/findings", "verdict/projection"},
    {"features", "heads", "manifest", "network", "outcomes", "params", "report/curve_figures", "report/figures",
     "report/markdown", "report/search_figures", "search", "sources/__init__", "verdict/cases", "verdict/decision"},
    {"cache", "evidence/ranking", "fetching", "models", "sources/sets", "verdict/changes", "verdict/claims",
     "vetting", "workspace"},
    {"experiment", "inspection", "report/ranking_figure", "verdict/advice"},
    {"bulk", "evidence/gather", "report/page"},
    {"jobs", "report/publish"},
    {"retraining"},
    {"rank"},
    {f"stages/{name}" for name in ("download", "prepare", "weights", "tune", "train", "compare", "register")},
]  # fmt: skip
COMMANDS = {"cache", "rank"}  # run by hand, by no stage

ONLY_IN = {"optuna": {"search"}, "mlflow": {"connection", "tracking", "registry"}, "ray": set()}
HEAVY = ("torch", "torchvision", "timm", "mlflow", "optuna", "pandas", "sklearn", "matplotlib", "numpy")

# Read without being imported: reports are made of templates, the model file of source text.
READ = {
    "prepare": {"pipeline/report/templates/data.md.j2"},
    "compare": {
        "pipeline/report/templates/report.css.j2",
        "pipeline/report/templates/report.html.j2",
        "pipeline/report/templates/report.js.j2",
        "pipeline/report/templates/report.md.j2",
    },
    "register": {
        "pipeline/inference/classifier.py",
        "pipeline/inference/decoding.py",
        "pipeline/inference/network.py",
    },
}

# Files whose tests are not where their name says.
TESTED_IN = {
    "catalog": "test_params.py",
    "settings": "test_params.py",
    "steps": "test_stages_of.py",
    "recipe": "test_params.py",
    "models": "test_network.py",
    "errors": "test_cli.py",
    "sources/__init__": "test_sources.py",
    "sources/class_folders": "test_sources.py",
    "sources/elpv": "test_sources.py",
    "sources/labels_table": "test_sources.py",
    "sources/split_folders": "test_sources.py",
    "sources/arrays": "test_rows.py",
    "sources/sets": "sources/test_torchvision_sets.py",
    "sources/torchvision_table": "sources/test_torchvision_sets.py",
    "workspace": "test_experiment.py",
    "trials": "test_search.py",
    "constraints": "verdict/test_findings.py",
    "verdict/cases": "verdict/test_claims.py",
    "verdict/changes": "verdict/test_advice.py",
    "verdict/decision": "verdict/test_advice.py",
    "evidence/gather": "stages/test_compare.py",
    "report/drawing": "report/test_figures.py",
    "report/curve_figures": "report/test_figures.py",
    "report/ranking_figure": "report/test_figures.py",
    "report/search_figures": "report/test_figures.py",
    "report/tables": "report/test_page.py",
    "report/plots": "stages/test_compare.py",
    "report/publish": "stages/test_compare.py",
    "wording": "report/test_markdown.py",
}

MOST_LINES, MOST_LINES_OF_A_FUNCTION = 260, 60

Tree = dict[str, Any]


def module_of(file: Path) -> str:
    return file.relative_to(PACKAGE).with_suffix("").as_posix()


FILES = {module_of(file): file for file in sorted(PACKAGE.rglob("*.py"))}
MARKERS = {name for name, file in FILES.items() if is_marker(file)}
MODULES = {name: file for name, file in FILES.items() if name not in MARKERS}
STAGES = {file.stem: file for name, file in MODULES.items() if name.startswith("stages/")}


def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def dvc() -> Tree:
    return yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def params() -> Tree:
    return yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))


def stage_of(dvc: Tree, name: str) -> Tree:
    stage = dvc["stages"][name]
    return stage.get("do", stage)


# Floors


def crossings(graph: dict[str, set[str]], floors: list[set[str]]) -> list[str]:
    """Return every import that does not lead down."""
    level = {name: number for number, floor in enumerate(floors) for name in floor}
    return [f"{a} -> {b}" for a, seen in graph.items() for b in seen - {a} if level[b] >= level[a]]


def test_every_module_is_on_exactly_one_floor():
    assert sorted(name for floor in FLOORS for name in floor) == sorted(MODULES)


def test_every_import_leads_to_a_floor_below():
    assert crossings({name: set(map(module_of, imported_files(file))) for name, file in MODULES.items()}, FLOORS) == []


def test_imports_within_a_floor_or_upwards_are_found():
    assert crossings({"a": {"b"}, "b": {"c"}, "c": set()}, [{"c"}, {"a", "b"}]) == ["a -> b"]
    assert crossings({"a": {"b"}, "b": {"a"}}, [{"a"}, {"b"}]) == ["a -> b"]


@pytest.mark.parametrize("package", ONLY_IN)
def test_a_heavy_package_is_imported_in_one_place(package):
    users = {name for name, file in FILES.items() if package in {n.split(".")[0] for n in imported_names(file)}}
    assert users == ONLY_IN[package]


# Importing


LOOK = """
import contextlib, importlib, io, json, os, random, sys
stages, modules, packages = json.load(sys.stdin)
heavy = {}
for stage in stages:
    with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.suppress(SystemExit):
        importlib.import_module(f"pipeline.stages.{stage}").main(["--help"])
    assert "usage" in text.getvalue()
    heavy[stage] = [name for name in packages if name in sys.modules]
import matplotlib.pyplot, numpy, optuna, pandas, sklearn.metrics, sklearn.model_selection, timm, torch
def state():
    return [random.getstate(), str(numpy.random.get_state()), torch.get_rng_state().tolist(), torch.get_num_threads(),
            dict(os.environ), torch.are_deterministic_algorithms_enabled(), optuna.logging.get_verbosity()]
before = state()
for module in modules:
    importlib.import_module(module)
print(json.dumps({"heavy": heavy, "same": state() == before, "made": os.listdir(), "mlflow": "mlflow" in sys.modules}))
"""


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """Return what a new process sees: heavy modules after every `--help`, and what importing everything changed."""
    dotted = [".".join(["pipeline", *name.split("/")]).removesuffix(".__init__") for name in MODULES]
    asked = json.dumps([list(STAGES), dotted, HEAVY])
    done = subprocess.run([sys.executable, "-c", LOOK], input=asked, capture_output=True, text=True, check=False,
                          cwd=tmp_path_factory.mktemp("cwd"), env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("stage", STAGES)
def test_help_imports_nothing_heavy(fresh, stage):
    assert fresh["heavy"][stage] == []


def test_importing_everything_makes_no_file(fresh):
    assert fresh["made"] == []


def test_importing_everything_changes_no_seed_setting_or_environment(fresh):
    assert fresh["same"]


def test_importing_everything_leaves_mlflow_alone(fresh):
    assert not fresh["mlflow"]


# dvc.yaml


def needed_code(stage: str) -> list[str]:
    return sorted({*relative(closure(STAGES[stage])), *READ.get(stage, set())})


def listed_code(dvc: Tree) -> dict[str, list[str]]:
    return {name: sorted(d for d in stage_of(dvc, name)["deps"] if d.startswith("pipeline/")) for name in STAGES}


@pytest.fixture(scope="module")
def needed() -> dict[str, list[str]]:
    return {name: needed_code(name) for name in STAGES}


def test_each_stage_depends_on_all_the_code_it_imports_and_reads_and_no_other(dvc, needed):
    assert listed_code(dvc) == needed


def test_any_code_dependency_that_is_left_out_is_missed(dvc, needed):
    for name, deps in needed.items():
        for dep in deps:
            changed = copy.deepcopy(dvc)
            stage_of(changed, name)["deps"].remove(dep)
            assert [n for n, listed in listed_code(changed).items() if listed != needed[n]] == [name]


def test_every_file_of_the_package_counts_for_some_stage(needed):
    files = {p.relative_to(ROOT).as_posix() for p in PACKAGE.rglob("*") if p.suffix in (".py", ".j2")}
    assert files - set().union(*needed.values()) == {f"pipeline/{name}.py" for name in MARKERS | COMMANDS}


CROSSED = ("tune-on", "train-on")  # the same stages, for the strategies that are run on other backbones too


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
    return {"strategy": {"strategies.${item.strategy}"}, "register_": {"register"}, "own": {"backbone_aliases"},
            "arms": {"enabled", "backbones", "per_backbone"}}.get(key, {key})  # fmt: skip


def covers(declared: str, read: str) -> bool:
    return read == declared or read.startswith(f"{declared}.")


# Not declared: no result depends on it, so that another machine may have another number.
FREE = {"search.workers", "prepare.workers", "features.cache_gb"}


def settings_read(code: ast.AST) -> set[str]:
    """Return the keys that code reads; those of a section with a free key one by one."""
    read = chains(code)
    for name, section in (("search", Search), ("prepare", Prepare), ("features", Features)):
        if name in read:
            read = read - {name} | {f"{name}.{field}" for field in section.model_fields}
    return read - FREE


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_declares_every_setting_it_reads_and_reads_every_one_it_declares(dvc, name):
    declared, read = stage_of(dvc, name).get("params", []), settings_read(parsed(STAGES[name]))
    assert [key for key in read if not any(covers(d, key) for d in declared)] == []
    assert [d for d in declared if not any(covers(d, key) for key in read)] == []
    assert [key for key in FREE if any(covers(d, key) for d in declared)] == []


def test_settings_are_read_off_the_code_as_dvc_names_them():
    code = "f(params.register_, params.a.b, params.c, params.c.d, args.params.e, params.strategy(x), params.arms)"
    found = {"register", "a.b", "c", "c.d", "strategies.${item.strategy}", "enabled", "backbones", "per_backbone"}
    assert chains(ast.parse(code)) == found


def test_the_tune_stage_never_sees_the_test_split(dvc, capsys):
    from pipeline.stages import tune

    hidden = [Path(out) for out in stage_of(dvc, "prepare")["outs"] if Path(out).name == "test"]
    stage = stage_of(dvc, "tune")
    paths = [Path(word) for word in [*stage["cmd"].split(), *stage["deps"]]]
    assert hidden
    assert not [p for p in paths for h in hidden if p == h or p in h.parents[:-1] or h in p.parents]
    with pytest.raises(SystemExit):
        tune.main(["--help"])
    assert not re.search(r"\btest\b", capsys.readouterr().out)


# params.yaml


def strings(tree: ast.AST) -> Iterator[str]:
    """Yield the string constants in a tree, docstrings aside."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs = {id(n.body[0].value) for n in ast.walk(tree)
            if isinstance(n, documented) and n.body and isinstance(n.body[0], ast.Expr)}  # fmt: skip
    return (
        n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and id(n) not in docs and type(n.value) is str
    )


def test_no_code_names_a_strategy(params):
    for file in FILES.values():
        assert not set(strings(parsed(file))) & set(params["strategies"]), file


def test_every_key_of_a_recipe_or_a_space_is_a_field_of_the_recipe(params):
    for row in params["strategies"].values():
        assert {*row["recipe"], *row["space"]} <= set(Recipe.model_fields)


# Sizes and companions


def test_files_and_functions_are_short():
    lines = {name: len(file.read_text(encoding="utf-8").splitlines()) for name, file in FILES.items()}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}
    functions = [
        (name, f) for name, file in FILES.items() for f in ast.walk(parsed(file)) if isinstance(f, ast.FunctionDef)
    ]
    assert [f"{name}: {f.name}" for name, f in functions if f.end_lineno - f.lineno >= MOST_LINES_OF_A_FUNCTION] == []


def companion(name: str) -> Path:
    *folders, stem = name.split("/")
    return ROOT / "tests" / TESTED_IN.get(name, "/".join([*folders, f"test_{stem}.py"]))


def test_every_module_has_its_tests():
    assert [name for name in MODULES if not companion(name).is_file()] == []


# Environments


def requirement(text: str) -> tuple[str, str]:
    name, rest = re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*(.*)", text).groups()
    return re.sub(r"[-_.]+", "-", name).lower(), ",".join(sorted(re.sub(r"\s", "", rest).split(",")))


@pytest.fixture(scope="module")
def project() -> Tree:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_lock_file_was_made_from_this_pyproject(project):
    text = (ROOT / "uv.lock").read_text(encoding="utf-8")
    own = next(p for p in text.split("[[package]]") if f'\nname = "{project["name"]}"\n' in p)
    wanted = tomllib.loads(own)["package"]["metadata"]["requires-dist"]
    locked = {requirement(f"{w['name']}{w.get('specifier', '')}") for w in wanted}
    assert locked == set(map(requirement, project["dependencies"]))


def test_the_conda_environment_asks_for_what_pyproject_asks_for(project):
    asked = yaml.safe_load((ROOT / "conda.yaml").read_text(encoding="utf-8"))["dependencies"]
    pip = next(part["pip"] for part in asked if isinstance(part, dict))
    assert set(map(requirement, project["dependencies"])) <= set(map(requirement, pip))
    python = next(part for part in asked if isinstance(part, str) and part.startswith("python"))
    assert requirement(python) == ("python", project["requires-python"])
