"""The rooms of the repository, or of a copy of it: what their files import, and on what stages depend."""

import ast
import graphlib
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from tests.support.imports import imported_files, imported_names, is_marker

HEAVY = ("torch", "torchvision", "timm", "mlflow", "optuna", "pandas", "sklearn", "scipy", "matplotlib", "numpy")

# How things look and are worded, and the stages that alone may use it: they compute nothing that others train on.
LOOKS, SHOWING = {"report", "verdict", "commands"}, {"describe", "compare"}

# Files that read files of a room, which no import shows: templates, and the package that registered models carry.
READERS = {
    "report/templating": "report",
    "tracking/logged_models": "inference",
}

HELP = """
import contextlib, importlib, io, json, sys
stages, packages = json.load(sys.stdin)
loaded = {}
for stage in stages:
    with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.suppress(SystemExit):
        importlib.import_module(f"pipeline.stages.{stage}").main(["--help"])
    assert "usage" in text.getvalue()
    loaded[stage] = [name for name in packages if name in sys.modules]
print(json.dumps(loaded))
"""


@dataclass(frozen=True)
class House:
    """The package `pipeline` and dvc.yaml in a folder."""

    root: Path

    @property
    def package(self) -> Path:
        """Return the folder of the package."""
        return self.root / "pipeline"

    def name(self, file: Path) -> str:
        """Return a file's place in the package, such as training/loop."""
        return file.relative_to(self.package).with_suffix("").as_posix()

    @cached_property
    def files(self) -> dict[str, Path]:
        """Return all files of code by name, those that hold a docstring alone aside."""
        return {self.name(file): file for file in sorted(self.package.rglob("*.py")) if not is_marker(file)}

    @cached_property
    def imports(self) -> dict[str, set[str]]:
        """Return which other files each file imports."""
        return {
            name: {self.name(seen) for seen in imported_files(file, self.root)} - {name}
            for name, file in self.files.items()
        }

    @cached_property
    def rooms(self) -> list[str]:
        """Return the rooms from top to bottom, as the docstring of the package lists them."""
        said = ast.get_docstring(ast.parse((self.package / "__init__.py").read_text(encoding="utf-8")))
        return re.findall(r"^    (\w+) {2,}\S", said or "", re.MULTILINE)

    @cached_property
    def stages(self) -> dict[str, Any]:
        """Return the stages of dvc.yaml."""
        return yaml.safe_load((self.root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]

    def upward_imports(self) -> list[str]:
        """Return the imports that lead to a room above, and those by which `inference` leads anywhere."""
        level = {room: number for number, room in enumerate(self.rooms)}
        pairs = [(a, b, room_of(a), room_of(b)) for a, seen in self.imports.items() for b in sorted(seen)]
        return [f"{a} -> {b}" for a, b, own, other in pairs
                if level[other] < level[own] or (own == "inference" and other != own)]  # fmt: skip

    def circle(self) -> list[str]:
        """Return files each of which imports the next and the last the first, if there are any."""
        try:
            graphlib.TopologicalSorter(self.imports).prepare()
        except graphlib.CycleError as error:
            return list(error.args[1])
        return []

    def users(self, package: str) -> set[str]:
        """Return the rooms that import a package of others."""
        return {room_of(name) for name, file in self.files.items()
                if package in {each.split(".")[0] for each in imported_names(file, self.root)}}  # fmt: skip

    def reached(self, *names: str) -> set[str]:
        """Return these files and all that they import, directly or not."""
        todo, seen = {*names}, set[str]()
        while todo:
            seen.add(name := todo.pop())
            todo |= self.imports[name] - seen
        return seen

    def needed_code(self, stage: str) -> list[str]:
        """Return the code that a stage uses as deps of dvc.yaml have it: the stage's own file, and rooms."""
        seen = self.reached(f"stages/{stage}")
        own = {f"pipeline/{name}.py" for name in seen if name.startswith("stages/")}
        rooms = {*map(room_of, seen), *(READERS[name] for name in seen & READERS.keys())} - {"stages"}
        return sorted(own | {f"pipeline/{room}" for room in rooms})

    def listed_code(self, stage: str) -> list[str]:
        """Return the code that dvc.yaml has as a stage's deps."""
        block = self.stages[stage]
        return sorted(dep for dep in block.get("do", block)["deps"] if dep.startswith("pipeline"))

    def wrong_deps(self) -> list[str]:
        """Return the code that dvc.yaml leaves out of a stage's deps, or has there without need."""
        wrong = []
        for stage in self.own_stages():
            needed, listed = set(self.needed_code(stage)), set(self.listed_code(stage))
            wrong += [f"{stage} lacks {dep}" for dep in sorted(needed - listed)]
            wrong += [f"{stage} does not need {dep}" for dep in sorted(listed - needed)]
        return wrong

    def own_stages(self) -> list[str]:
        """Return the stages that have a file."""
        return [name.removeprefix("stages/") for name in self.files if name.startswith("stages/")]

    def unused_files(self) -> list[str]:
        """Return the files of code that neither a stage nor a command imports, and the templates that nobody names."""
        first = ("commands/__main__", "inference/served")  # the latter is that of what models carry
        ways_in = [name for name in self.files if room_of(name) == "stages" or name in first]
        texts = [
            file.read_text(encoding="utf-8") for ending in ("py", "j2") for file in self.package.rglob(f"*.{ending}")
        ]
        templates = [file for file in self.package.rglob("*.j2") if not any(f'"{file.name}"' in text for text in texts)]
        return [*sorted(self.files.keys() - self.reached(*ways_in)), *(file.name for file in templates)]

    def heavy_at_help(self, elsewhere: Path) -> dict[str, list[str]]:
        """Return by stage the heavy packages that `--help` has loaded; those of earlier stages among them."""
        done = subprocess.run(
            [sys.executable, "-c", HELP], input=json.dumps([self.own_stages(), HEAVY]), capture_output=True, text=True,
            check=True, cwd=elsewhere, env={**os.environ, "PYTHONPATH": str(self.root)})  # fmt: skip
        return {stage: loaded for stage, loaded in json.loads(done.stdout).items() if loaded}


def room_of(name: str) -> str:
    """Return the room in which a file lives."""
    return name.split("/")[0]
