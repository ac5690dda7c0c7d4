"""A database of MLflow, a run in it, and models to log."""

import os
from collections.abc import Callable
from pathlib import Path

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before mlflow loads: tests are offline

import pytest
from mlflow import MlflowClient

from tests.support.second_project import add, project, trained_project  # noqa: F401
from tests.support.served import tiny_model


@pytest.fixture
def client(tracking_uri: str) -> MlflowClient:
    return MlflowClient(tracking_uri, tracking_uri)


@pytest.fixture
def run(client: MlflowClient, tmp_path: Path) -> str:
    """A run that is not finished, as it is while a model is logged or registered."""
    location = (tmp_path / "mlartifacts").as_uri()
    return client.create_run(client.create_experiment("tiny", location), run_name="tiny").info.run_id


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """A function that makes a model folder from a seed, as the train stage leaves it."""
    return lambda seed: tiny_model(tmp_path_factory.mktemp("model"), seed)
