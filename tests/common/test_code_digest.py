"""The laws of unit keys, on the package itself: all texts below are those of its modules, changed."""

import ast
import random
import re
import shutil
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from pipeline.common.code_digest import LEFT_OUT, ROOTS, code_digest, counted, digest_of, read_sources
from tests.support.imports import PACKAGE, is_marker

SOURCES = read_sources(PACKAGE)
every_key = pytest.mark.parametrize("key", ROOTS)
every_module = pytest.mark.parametrize("path", sorted({p for roots in ROOTS.values() for p in counted(SOURCES, roots)}))


def units(sources: dict[str, str]) -> str:
    return digest_of(sources, ROOTS["units"])


def digests(sources: dict[str, str]) -> dict[str, str]:
    return {kind: digest_of(sources, roots) for kind, roots in ROOTS.items()}


UNITS, DIGESTS = units(SOURCES), digests(SOURCES)


def changed(path: str, change: Callable[[str], str]) -> dict[str, str]:
    """Return the sources with one that is another."""
    new = change(SOURCES[path])
    assert new != SOURCES[path]
    return {**SOURCES, path: new}


# What retrains nothing


class Reworded(ast.NodeTransformer):
    """Say all in other words: docstrings, errors, what is printed."""

    def _document(self, node: ast.AST) -> ast.AST:
        if ast.get_docstring(node) is not None:
            node.body[0] = ast.Expr(ast.Constant("In other words."))
        return self.generic_visit(node)

    visit_Module = visit_ClassDef = visit_FunctionDef = _document  # noqa: N815

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call):
            texts = ast.Constant | ast.JoinedStr
            node.exc.args = [ast.Constant("other words") if isinstance(a, texts) else a for a in node.exc.args]
        return node

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        return ast.Assert(node.test, ast.Constant("in other words"))


@every_module
def test_comments_layout_and_words_do_not_count(path):
    plain = changed(path, lambda text: f"# A comment.\n{ast.unparse(ast.parse(text))}\n")
    assert digests(plain) == DIGESTS
    reworded = changed(path, lambda text: ast.unparse(ast.fix_missing_locations(Reworded().visit(ast.parse(text)))))
    assert digests(reworded) == DIGESTS


@every_module
def test_a_file_s_place_does_not_count(path):
    package, _, stem = path.removesuffix(".py").replace("/", ".").rpartition(".")
    if stem == "__init__":
        return
    old = f"{package}.{stem}"

    def moved(text: str) -> str:
        text = re.sub(rf"\b{re.escape(old)}\b", f"pipeline.elsewhere.{stem}", text)
        return re.sub(rf"from {re.escape(package)} import {stem}\b", f"from pipeline.elsewhere import {stem}", text)

    sources = {name: moved(text) for name, text in SOURCES.items()}
    sources |= {
        f"pipeline/elsewhere/{stem}.py": sources.pop(path),
        "pipeline/elsewhere/__init__.py": '"""Elsewhere."""\n',
    }
    roots = {kind: [moved(root) for root in roots] for kind, roots in ROOTS.items()}
    assert any(f"pipeline/elsewhere/{stem}.py" in counted(sources, each) for each in roots.values())
    assert {kind: digest_of(sources, each) for kind, each in roots.items()} == DIGESTS


@every_key
def test_modules_that_are_not_imported_do_not_count(key):
    seen = counted(SOURCES, ROOTS[key])
    sources = {path: text if path in seen else f"{text}\nanother = 1\n" for path, text in SOURCES.items()}
    assert len(seen) < len(SOURCES) / 2
    assert digest_of(sources, ROOTS[key]) == digest_of(SOURCES, ROOTS[key])


def test_a_new_row_in_the_backbone_table_does_not_count():
    row = '    "another": Backbone("resnet18", stages=4),\n}\n\nOWN_NAME'
    assert units(changed("pipeline/config/backbone_table.py", lambda text: text.replace("}\n\nOWN_NAME", row))) == UNITS


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_left_out_is_there_and_would_count_otherwise(name, monkeypatch):
    found = [path for path in SOURCES if path.startswith(name)]
    monkeypatch.setattr("pipeline.common.code_digest.LEFT_OUT", tuple(other for other in LEFT_OUT if other != name))
    assert {*found} & {*counted(SOURCES, ROOTS["units"])}


def test_the_order_of_imports_and_those_for_annotations_do_not_count():
    def turned(text: str) -> str:
        imports = [line for line in text.splitlines() if line.startswith(("import ", "from ")) and "(" not in line]
        return "\n".join([*reversed(imports), "from numbers import Number", *text.splitlines()]) + "\n"

    assert units(changed("pipeline/training/augment.py", turned)) == UNITS


@pytest.mark.parametrize("word", ["__doc__", "__annotations__", "get_type_hints", "singledispatch", "validate_call",
                                  "custom_op", "signature("])  # fmt: skip
def test_no_code_that_counts_reads_what_is_not_counted(word):
    assert [path for key in ROOTS for path in counted(SOURCES, ROOTS[key]) if word in SOURCES[path]] == []


# What does


def meaningful(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the numbers, operators and names of attributes that a tree computes with."""
    if isinstance(node, ast.Raise | ast.Assert | ast.AnnAssign | ast.JoinedStr | ast.If):
        return
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield node
    if isinstance(node, ast.BinOp | ast.Attribute):
        yield node
    for field, value in ast.iter_fields(node):
        if field not in ("annotation", "returns"):
            for inner in value if isinstance(value, list) else [value]:
                if isinstance(inner, ast.AST):
                    yield from meaningful(inner)


def mutated(text: str, rng: random.Random) -> str:
    """Change a number, an operator or the name of an operation."""
    tree = ast.parse(text)
    node = rng.choice(list(meaningful(tree)))
    match node:
        case ast.Constant():
            node.value += 1
        case ast.BinOp():
            node.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
        case ast.Attribute():
            node.attr += "_"
    return ast.unparse(tree)


@every_key
def test_what_any_module_that_counts_does_counts(key):
    before, rng = digest_of(SOURCES, ROOTS[key]), random.Random(0)
    for path in counted(SOURCES, ROOTS[key]):
        for _ in range(0 if is_marker(PACKAGE.parent / path) else 4):
            assert digest_of(changed(path, lambda text: mutated(text, rng)), ROOTS[key]) != before, path


PLANTED = "pipeline/training/planted.py"
WAYS = {
    "of a name": "from pipeline.training.planted import grow\n{}",
    "of a module": "from pipeline.training import planted\n{}",
    "of a module by its full name": "import pipeline.training.planted\n{}",
    "of a relative name": "from .planted import grow\n{}",
    "of a relative module": "from . import planted\n{}",
    "within a function": "{}\n\ndef more():\n    from pipeline.training.planted import grow\n    return grow()\n",
}


@pytest.mark.parametrize("way", WAYS)
def test_a_new_import_is_followed(way):
    planted = {**changed("pipeline/training/augment.py", WAYS[way].format), PLANTED: "def grow():\n    return 1\n"}
    further = {**planted, PLANTED: "from pipeline.common.timing import cpu_seconds\ndef grow():\n    return 1\n"}
    assert PLANTED in counted(planted, ROOTS["units"])
    assert "pipeline/common/timing.py" in counted(further, ROOTS["units"])
    assert len({UNITS, units(planted), units({**planted, PLANTED: "def grow():\n    return 2\n"})}) == 3


def test_what_type_checkers_alone_import_is_not_followed():
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pipeline.training.planted import grow\n{}"
    planted = {**changed("pipeline/training/augment.py", text.format), PLANTED: "def grow():\n    return 1\n"}
    assert units(planted) == UNITS


def test_the_file_of_a_package_counts_with_what_it_hands_on():
    path = "pipeline/training/__init__.py"
    assert units(changed(path, lambda text: text + "x = 1\n")) != UNITS
    handed = [changed(path, lambda text, name=name: text + f"from pipeline.training.{name} import x\n")
              for name in ("augment", "metrics")]  # fmt: skip
    assert len({UNITS, *map(units, handed)}) == 3


def test_a_name_taken_from_another_module_counts():
    path = "pipeline/training/head_units.py"
    for old, new in (
        ("from pipeline.network.build import build", "from pipeline.network.cut import build"),
        ("import Inputs, first_view,", "import Inputs, resident as first_view,"),
        ("import numpy as np", "import torch as np"),
    ):
        assert units(changed(path, lambda text, old=old, new=new: text.replace(old, new))) != UNITS


# Where it comes from


@every_key
def test_the_digest_of_a_kind_is_that_of_the_package(key):
    assert code_digest(key) == digest_of(SOURCES, ROOTS[key])


def test_a_checkout_s_path_does_not_count_and_edits_do_once_another_process_reads_them(tmp_path):
    folder = Path(shutil.copytree(PACKAGE, tmp_path / "some where" / "pipeline"))

    def fresh() -> Callable[..., str]:
        spec = spec_from_file_location("copied", folder / "common" / "code_digest.py")
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.code_digest

    first = fresh()
    assert first("units") == UNITS
    file = folder / "training" / "augment.py"
    file.write_text(file.read_text(encoding="utf-8") + "\nx = 1\n", encoding="utf-8")
    assert first("units") == UNITS
    assert first("features") == digest_of(SOURCES, ROOTS["features"])
    assert fresh()("units") not in (UNITS, first("units"))


def test_a_module_that_is_not_there_is_a_fault():
    with pytest.raises(KeyError):
        digest_of(SOURCES, ["pipeline.training.none"])
