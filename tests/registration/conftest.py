"""A second project, its database fresh for each test."""

import os
import shutil
from pathlib import Path
from typing import Any

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before mlflow loads: tests are offline

import pytest

from tests.support.second_project import SecondProject


@pytest.fixture(scope="module")
def _trained(
    tmp_path_factory: pytest.TempPathFactory, _small_params: dict[str, Any], write_params: Any, mlflow_template: Path
) -> SecondProject:
    """Return a project with two networks that are right, `good` and `equal`, and two that are not trained."""
    root = tmp_path_factory.mktemp("second")
    project = SecondProject.make(root, _small_params, write_params, mlflow_template)
    for name, seed, steps in (("good", 1, 60), ("equal", 2, 60), ("worse", 3, 0), ("poor", 4, 0)):
        project.train(name, seed, steps)
    return project


@pytest.fixture
def project(_trained: SecondProject, mlflow_template: Path, monkeypatch: pytest.MonkeyPatch) -> SecondProject:
    """Return it with nothing registered."""
    shutil.copy(mlflow_template, _trained.root / "mlflow.db")
    shutil.rmtree(_trained.root / "mlartifacts", ignore_errors=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", _trained.uri)
    monkeypatch.chdir(_trained.root)
    return _trained


@pytest.fixture
def add(project: SecondProject) -> Any:
    """Return a function that registers a network by the name of its folder."""
    return lambda name, **tags: project.register(project.root / "models" / name, **tags)
