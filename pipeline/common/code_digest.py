"""A hash of what code does, so that no result outlives the code that made it.

It follows imports by itself. What people alone read does not count, nor does the place of a file: a module is known by
its syntax tree, and an import by what the imported module does.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from pipeline.common.syntax import EMPTY, Import, parsed

# What a result of each kind is made by: these modules, with all that they import.
ROOTS = {
    "units": ("pipeline.training.unit", "pipeline.training.head_units"),
    "features": ("pipeline.training.feature_pass", "pipeline.network.cut"),  # how stages are run, and what they are
    "studies": ("pipeline.search.study",),  # how trials are proposed, compared and recorded; units train them
}

Sources = Mapping[str, str]  # a file's path, from the folder that holds the package: its text

# What cannot change a number, and is not followed.
LEFT_OUT = (
    "pipeline/config/",  # its values, such as a recipe's and a backbone's, are in the keys themselves
    "pipeline/common/errors.py",  # text
    "pipeline/common/lru_store.py",  # which files stay
    "pipeline/common/code_digest.py",  # names of files
)


@cache
def code_digest(kind: str) -> str:
    """Return 16 hex digits that identify what the code does that makes results of a kind, a key of ROOTS.

    The package is read once a process: files edited while it runs are not the code that it runs.
    """
    return digest_of(_sources(), ROOTS[kind])


@cache
def _sources() -> Sources:
    return read_sources(Path(__file__).parents[1])


def read_sources(package: Path) -> dict[str, str]:
    """Return the sources of a package."""
    files = sorted(package.rglob("*.py"))
    return {file.relative_to(package.parent).as_posix(): file.read_text(encoding="utf-8") for file in files}


def digest_of(sources: Sources, roots: Iterable[str]) -> str:
    """Return 16 hex digits that identify what these modules do, with all that they import, directly or not."""
    does = {path: parsed(sources[path]).does for path in counted(sources, roots)}
    lines = []
    for path, own in does.items():
        # What a package's own file imports is there for others to import.
        imports = [each for each in parsed(sources[path]).imports if each.used or path.endswith("/__init__.py")]
        bound = sorted({_binding(path, each, sources, does) for each in imports})
        if bound or own != EMPTY:  # otherwise it marks a package, and may be anywhere
            lines.append(f"{own} {bound}")
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16]


def counted(sources: Sources, roots: Iterable[str]) -> list[str]:
    """Return the paths of the modules that count: these roots and all that they import, but for what is left out.

    Raise KeyError where a root is not there.
    """
    todo, seen = [_file(root, sources) or root for root in roots], set[str]()
    while todo:
        path = todo.pop()
        if path not in seen and not path.startswith(LEFT_OUT):
            seen.add(path)
            todo += _followed(path, sources)
    return sorted(seen)


def _followed(path: str, sources: Sources) -> Iterator[str]:
    """Yield the files that run when one is imported: those of what it imports, and of the packages these are in."""
    for each in parsed(sources[path]).imports:
        parts = [*_module(path, each).split("."), each.name]
        for depth in range(1, len(parts) + 1):
            if file := _file(".".join(parts[:depth]), sources):
                yield file


def _binding(path: str, each: Import, sources: Sources, does: Mapping[str, str]) -> tuple[str, str, str]:
    """Return what an import binds: what the module does, or the name of another's; the name there; the name here."""
    module = _module(path, each)
    inner = _file(f"{module}.{each.name}", sources)  # a module, rather than a name in one
    file = inner or _file(module, sources)
    return does.get(file, "") if file else module, "" if inner else each.name, each.bound


def _module(path: str, each: Import) -> str:
    """Return the full dotted name of the module that an import in the file at `path` names."""
    above = path.split("/")[: -each.level] if each.level else []
    return ".".join([*above, *([each.module] if each.module else [])])


def _file(dotted: str, sources: Sources) -> str | None:
    base = dotted.replace(".", "/")
    return next((path for path in (f"{base}.py", f"{base}/__init__.py") if path in sources), None)
