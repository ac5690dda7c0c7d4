"""The house keeps its shape: rooms and their order, imports, what stages depend on, sizes, and where tests are.

Each rule is held against the repository, and against a copy of it in which something is planted that breaks the rule.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.support import order
from tests.support.imports import ROOT, imported_names
from tests.support.structure import HEAVY, LOOKS, READERS, SHOWING, House

MOST_ROOMS, MOST_LINES, MOST_LINES_OF_A_FUNCTION = 15, 260, 60

# Packages of others that belong to some rooms alone.
ONLY_IN = {
    "optuna": {"search"},
    "mlflow": {"tracking", "inference"},
    "ray": {"execution"},
    "typer": {"commands"},
    "matplotlib": {"report"},
    "jinja2": {"report"},
    "torch": {"inference", "network", "training", "execution"},
}

# Modules whose tests are elsewhere, where what they do is seen.
TESTED_IN = {
    "commands/__main__": "commands/test_app.py",
    "commands/first_answer": "commands/test_quick.py",
    "commands/options": "commands/test_app.py",
    "common/errors": "common/test_entry_point.py",
    "config/cluster": "config/test_params.py",
    "config/settings": "config/test_params.py",
    "data/datasets/by_name": "stages/test_download.py",
    "data/datasets/torchvision_table": "data/datasets/test_torchvision_sets.py",
    "data/summary": "data/test_preparation.py",
    "execution/ray_cluster": "execution/test_ray_executor.py",
    "execution/ray_worker": "execution/test_ray_executor.py",
    "tracking/by_hand": "commands/test_registry.py",
    "tracking/register_arms": "stages/test_register.py",
    "report/publish": "stages/test_compare.py",
    "report/templating": "report/test_markdown.py",
}
# Tests of a room or a stage as a whole.
OF_A_WHOLE = {"report/test_browser.py", "report/figures/test_figures.py", "stages/test_bad_inputs.py",
              "stages/test_no_pickle.py", "verdict/sentences/test_sentences.py"}  # fmt: skip

HOUSE = House(ROOT)


@pytest.fixture
def copied(tmp_path: Path) -> Callable[..., House]:
    """A function that copies the house, plants a line at the end of a file of it, and takes another out of dvc.yaml."""

    def copy(file: str = "", line: str = "", without: str = "") -> House:
        shutil.copytree(HOUSE.package, tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
        text = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
        assert without in text
        (tmp_path / "dvc.yaml").write_text(text.replace(without, "", 1), encoding="utf-8")
        if file:
            with (tmp_path / "pipeline" / f"{file}.py").open("a", encoding="utf-8") as opened:
                opened.write(f"\n{line}\n")
        return House(tmp_path)

    return copy


def added(rule: Callable[[House], list[str]], house: House) -> list[str]:
    """Return what a rule finds in a copy, and does not find in the house itself."""
    return [each for each in rule(house) if each not in rule(HOUSE)]


# Rooms


def test_the_rooms_that_are_listed_are_those_that_are_there():
    entries = sorted(p.name for p in HOUSE.package.iterdir() if p.name != "__pycache__")
    assert entries == sorted([*HOUSE.rooms, "__init__.py"])
    assert len(entries) <= MOST_ROOMS


def packages() -> list[Path]:
    return sorted(file.parent for file in HOUSE.package.rglob("__init__.py") if file.parent != HOUSE.package)


@pytest.mark.parametrize("folder", packages(), ids=lambda folder: folder.relative_to(ROOT).as_posix())
def test_a_package_says_what_lives_there_and_what_to_read_first(folder):
    said = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert 150 < len(said) < 800
    first = re.search(r"Read `(\w+\.py)`", said)
    assert first, said
    assert all((folder / name).is_file() for name in re.findall(r"`(\w+\.py)`", said)), said


# Imports


def test_every_import_leads_to_a_room_below_or_stays_in_its_own():
    assert HOUSE.upward_imports() == []


@pytest.mark.parametrize("line", ["from pipeline.search import study", "from ..search.study import tune",
                                  "def late():\n    import pipeline.search.study"])  # fmt: skip
def test_an_upward_import_is_found(copied, line):
    assert added(House.upward_imports, copied("training/loop", line)) == ["training/loop -> search/study"]


def test_an_import_by_which_inference_leads_out_is_found(copied):
    house = copied("inference/decoding", "from pipeline.common.errors import UserError")
    assert added(House.upward_imports, house) == ["inference/decoding -> common/errors"]


def test_of_what_a_model_carries_only_the_way_in_knows_mlflow():
    using = {name for name, file in HOUSE.files.items() if name.startswith("inference/")
             and "mlflow" in {each.split(".")[0] for each in imported_names(file)}}  # fmt: skip
    assert using == {"inference/served"}


def test_no_imports_run_in_a_circle():
    assert HOUSE.circle() == []


def test_a_circle_is_found(copied):
    house = copied("training/metrics", "from pipeline.training.unit import unit")
    assert added(House.upward_imports, house) == []
    assert {"training/metrics", "training/unit"} <= set(house.circle())


@pytest.mark.parametrize("package", ONLY_IN)
def test_a_package_of_others_is_imported_where_it_belongs_alone(package):
    assert HOUSE.users(package) == ONLY_IN[package]


def test_a_package_that_is_imported_elsewhere_is_found(copied):
    house = copied("data/image_set", "def late():\n    import optuna.trial\n    from ray.util import queue")
    assert (house.users("ray"), house.users("optuna")) == ({"data", "execution"}, {"data", "search"})


# Importing


LOOK = """
import importlib, json, os, random, sys
import matplotlib.pyplot, numpy, optuna, pandas, sklearn.metrics, sklearn.model_selection, timm, torch
def state():
    return [random.getstate(), str(numpy.random.get_state()), torch.get_rng_state().tolist(), torch.get_num_threads(),
            dict(os.environ), torch.are_deterministic_algorithms_enabled(), optuna.logging.get_verbosity()]
before = state()
for module in json.load(sys.stdin):
    importlib.import_module(module)
print(json.dumps({"same": state() == before, "made": os.listdir(), "mlflow": "mlflow" in sys.modules}))
"""


def test_importing_everything_makes_no_file_changes_no_state_and_leaves_mlflow_alone(tmp_path):
    dotted = [".".join(["pipeline", *name.split("/")]).removesuffix(".__init__") for name in HOUSE.files]
    done = subprocess.run([sys.executable, "-c", LOOK], input=json.dumps(dotted), capture_output=True, text=True,
                          check=False, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"same": True, "made": [], "mlflow": False}


def test_help_imports_nothing_heavy(tmp_path):
    assert HOUSE.heavy_at_help(tmp_path) == {}


def test_a_heavy_import_is_found(copied, tmp_path_factory):
    found = copied("config/strategies", "import optuna").heavy_at_help(tmp_path_factory.mktemp("elsewhere"))
    assert "optuna" in found["tune"]
    assert all(set(loaded) <= set(HEAVY) for loaded in found.values())


# What stages depend on


def test_each_stage_depends_on_the_rooms_that_it_imports_and_reads_and_on_no_other():
    assert HOUSE.wrong_deps() == []


def test_no_stage_that_computes_depends_on_how_things_look():
    assert set(HOUSE.rooms) >= LOOKS
    assert set(HOUSE.own_stages()) >= SHOWING
    for stage in set(HOUSE.own_stages()) - SHOWING:
        deps = {*HOUSE.listed_code(stage), *HOUSE.needed_code(stage)}
        assert not deps & {"pipeline", *(f"pipeline/{room}" for room in LOOKS)}, stage


def test_what_reads_files_of_the_package_is_known():
    reading = {name for name, file in HOUSE.files.items() if "__file__" in file.read_text(encoding="utf-8")}
    # One reads what is imported, which counts anyway; the other sends the whole package to the nodes of a cluster.
    assert reading - {"common/code_digest", "execution/ray_cluster"} == READERS.keys()


def test_a_room_that_a_new_import_leads_to_is_missed(copied):
    house = copied("stages/download", "from pipeline.config import params")
    assert added(House.wrong_deps, house) == ["download lacks pipeline/config"]


def test_a_dep_that_is_left_out_is_missed(copied):
    house = copied()
    house.stages["weights"]["deps"].remove("pipeline/network")
    assert added(House.wrong_deps, house) == ["weights lacks pipeline/network"]


def test_a_dep_that_nothing_needs_is_found(copied):
    house = copied()
    house.stages["prepare"]["deps"].append("pipeline/report")
    assert added(House.wrong_deps, house) == ["prepare does not need pipeline/report"]


def test_every_file_serves_a_stage_or_a_command():
    assert HOUSE.unused_files() == []


def test_a_file_that_serves_nothing_is_found(copied):
    house = copied("training/forgotten", "from pipeline.training import loop")
    (house.package / "report" / "templates" / "forgotten.md.j2").touch()
    assert added(House.unused_files, house) == ["training/forgotten", "forgotten.md.j2"]


# What stands in files


def strings(tree: ast.AST) -> Iterator[str]:
    """Yield the string constants in a tree, docstrings aside."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs = {id(n.body[0].value) for n in ast.walk(tree)
            if isinstance(n, documented) and n.body and isinstance(n.body[0], ast.Expr)}  # fmt: skip
    return (
        n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and id(n) not in docs and type(n.value) is str
    )


def test_no_code_names_a_strategy():
    strategies = set(yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["strategies"])
    for name, file in HOUSE.files.items():
        assert not set(strings(ast.parse(file.read_text(encoding="utf-8")))) & strategies, name


def test_files_and_functions_are_short():
    texts = {name: file.read_text(encoding="utf-8") for name, file in HOUSE.files.items()}
    assert [name for name, text in texts.items() if len(text.splitlines()) > MOST_LINES] == []
    functions = [
        (name, f) for name, text in texts.items() for f in ast.walk(ast.parse(text)) if isinstance(f, ast.FunctionDef)
    ]
    assert [f"{name}: {f.name}" for name, f in functions if f.end_lineno - f.lineno >= MOST_LINES_OF_A_FUNCTION] == []


def companion(name: str) -> str:
    """Return where a file of code has its tests; the code of a package itself has them under the package's name."""
    *folders, stem = name.split("/")
    return TESTED_IN.get(name, "/".join([*folders, f"test_{folders[-1] if stem == '__init__' else stem}.py"]))


def test_the_order_of_tests_names_files_that_are_there():
    named = [each for each in (*order.TOGETHER, *order.ALONE, *order.LONGEST) if each.startswith("tests/")]
    assert [each for each in named if not (ROOT / each).exists()] == []


def test_tests_mirror_the_package():
    tests = ROOT / "tests"
    there = {f.relative_to(tests).as_posix() for room in HOUSE.rooms for f in (tests / room).rglob("test_*.py")}
    wanted = {companion(name) for name in HOUSE.files}
    assert sorted(wanted - there) == []
    assert sorted(there - wanted) == sorted(OF_A_WHOLE)
    assert TESTED_IN.keys() <= HOUSE.files.keys()
