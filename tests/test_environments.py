"""The lock file and the conda environment ask for what pyproject.toml asks for."""

import re
import tomllib
from typing import Any

import pytest
import yaml

from tests.support.imports import ROOT


def requirement(text: str) -> tuple[str, str]:
    name, rest = re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*(.*)", text).groups()
    return re.sub(r"[-_.]+", "-", name).lower(), ",".join(sorted(re.sub(r"\s", "", rest).split(",")))


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_lock_file_was_made_from_this_pyproject(project):
    text = (ROOT / "uv.lock").read_text(encoding="utf-8")
    own = next(p for p in text.split("[[package]]") if f'\nname = "{project["name"]}"\n' in p)
    wanted = tomllib.loads(own)["package"]["metadata"]["requires-dist"]
    locked = {requirement(f"{w['name']}{w.get('specifier', '')}") for w in wanted}
    extras = [each for wanted in project["optional-dependencies"].values() for each in wanted]
    assert locked == set(map(requirement, [*project["dependencies"], *extras]))


def test_the_conda_environment_asks_for_what_pyproject_asks_for(project):
    asked = yaml.safe_load((ROOT / "conda.yaml").read_text(encoding="utf-8"))["dependencies"]
    pip = next(part["pip"] for part in asked if isinstance(part, dict))
    assert set(map(requirement, project["dependencies"])) <= set(map(requirement, pip))
    python = next(part for part in asked if isinstance(part, str) and part.startswith("python"))
    assert requirement(python) == ("python", project["requires-python"])
