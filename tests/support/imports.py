"""Follow the project's own imports, as DVC does not."""

import ast
from functools import lru_cache
from pathlib import Path

from pipeline.common.code_digest import ROOTS, counted, read_sources

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pipeline"


def module_file(name: str, root: Path = ROOT) -> Path | None:
    """Return the file of a dotted module of the project in a folder, if it is one."""
    base = root.joinpath(*name.split("."))
    return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)


def imported_names(file: Path, root: Path = ROOT) -> set[str]:
    """Return the dotted names a file imports anywhere, functions included: `a.b` and, for `from a import b`, both."""
    return _imported_names(file.read_text(encoding="utf-8"), file.relative_to(root).parts)


@lru_cache(1024)
def _imported_names(text: str, place: tuple[str, ...]) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = place[: -node.level] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return names


def imported_files(file: Path, root: Path = ROOT) -> set[Path]:
    """Return the project's files that a file imports directly; package markers do not count."""
    found = {module_file(name, root) for name in imported_names(file, root) if name.split(".")[0] == "pipeline"}
    return {p for p in found if p and not is_marker(p)}


def is_marker(file: Path) -> bool:
    """Return whether a file is an `__init__.py` that holds a docstring alone."""
    return file.name == "__init__.py" and len(ast.parse(file.read_text(encoding="utf-8")).body) == 1


def closure(file: Path, root: Path = ROOT) -> set[Path]:
    """Return a file and all project files that it imports, directly or not."""
    seen, todo = set(), {file}
    while todo:
        current = todo.pop()
        seen.add(current)
        todo |= imported_files(current, root) - seen
    return seen


def counted_modules(kind: str) -> set[str]:
    """Return the modules, such as `network/cut`, whose code is part of the keys of results of a kind."""
    files = [ROOT / path for path in counted(read_sources(PACKAGE), ROOTS[kind])]
    return {file.relative_to(PACKAGE).with_suffix("").as_posix() for file in files if not is_marker(file)}
