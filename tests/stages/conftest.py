"""The whole chain of stages, run once on small data."""

import copy
import json
import os
import shutil
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before mlflow loads: tests are offline

import mlflow
import pandas as pd
import pytest
from mlflow.entities import Run

from tests.support.asking import asked_once

ENABLED = ("frozen", "finetune")


@dataclass(frozen=True)
class Chain:
    """A folder in which stages run as dvc.yaml runs them, with an MLflow database of its own."""

    root: Path
    prepared: Any

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.root / 'mlflow.db'}"

    @property
    def client(self) -> mlflow.MlflowClient:
        return mlflow.MlflowClient(self.uri, self.uri)  # a test may have run a server in this process

    def command(self, stage: str, strategy: str = "") -> list[str]:
        """Return a stage's arguments."""
        root, results = self.root, self.root / "results"
        timings = results / "timings" / stage / f"{strategy or stage}.json"
        paths = {
            "views": {"dev": self.prepared.dev, "work": root / "work", "weights": root / "weights",
                      "out": root / "views.json"},
            "tune": {"dev": self.prepared.dev, "work": root / "work", "weights": root / "weights",
                     "views": root / "views.json", "out": results / "tune", "timings": timings},
            "train": {"dev": self.prepared.dev, "test": self.prepared.test, "work": root / "work",
                      "weights": root / "weights", "views": root / "views.json",
                      "tuned": results / "tune" / f"{strategy}.json", "out": results / "train",
                      "model": root / "models" / strategy, "timings": timings},
            "race": {"dev": self.prepared.dev, "test": self.prepared.test, "trained": results / "train",
                     "weights": root / "weights", "views": root / "views.json", "work": root / "work",
                     "out": results / "race", "timings": timings},
            "compare": {"tuned": results / "tune", "trained": results / "race", "times": results / "timings",
                        "data": self.prepared.summary / "summary.json", "test": self.prepared.test,
                        "out": results / "comparison.json", "verdict": results / "verdict.json",
                        "page": results / "report.html", "report": results / "report.md",
                        "figures": results / "figures", "metrics": results / "metrics.json",
                        "plots": results / "plots", "timings": timings, "models": root / "models",
                        "cards": results / "cards"},
            "register": {"comparison": results / "comparison.json", "verdict": results / "verdict.json",
                         "trained": results / "race", "test": self.prepared.test, "models": root / "models",
                         "cards": results / "cards",
                         "out": results / "registry.json"},
        }[stage]  # fmt: skip
        words = [str(word) for name, path in paths.items() for word in (f"--{name}", path)]
        return [*([strategy] if strategy else []), *words, "--params", str(root / "params.yaml")]

    def run(self, stage: str, strategy: str = "") -> int:
        """Run a stage in this process; return its exit code."""
        with patch.dict(os.environ, {"MLFLOW_TRACKING_URI": self.uri}), asked_once():
            return import_module(f"pipeline.stages.{stage}").main(self.command(stage, strategy))

    def run_all(self) -> None:
        for stage in ("tune", "train"):
            for strategy in ENABLED:
                assert self.run(stage, strategy) == 0
        assert self.run("race") == self.run("compare") == self.run("register") == 0

    def document(self, stage: str, strategy: str) -> dict[str, Any]:
        """Return what a stage exported of a strategy."""
        return json.loads((self.root / "results" / stage / f"{strategy}.json").read_text())

    def table(self, stage: str, strategy: str) -> pd.DataFrame:
        """Return the table that a stage exported of a strategy."""
        return pd.read_csv(self.root / "results" / stage / f"{strategy}.csv", dtype={"id": str})

    def runs(self) -> dict[str, Run]:
        """Return every run of MLflow by its name; no two have the same."""
        experiments = [experiment.experiment_id for experiment in self.client.search_experiments()]
        found = self.client.search_runs(experiments)
        assert len({run.info.run_name for run in found}) == len(found), "a run is there twice"
        return {run.info.run_name: run for run in found}

    def children(self, arm: str, stage: str) -> dict[str, Run]:
        """Return the runs of a stage that are nested in an arm's."""
        runs = self.runs()
        wanted = {"mlflow.parentRunId": runs[arm].info.run_id, "stage": stage}
        return {name: run for name, run in runs.items() if wanted.items() <= run.data.tags.items()}

    def results(self) -> dict[str, bytes]:
        """Return what all files of results hold, but for timings and the pages, which show them."""
        files = [path for path in (self.root / "results").rglob("*") if path.is_file() and path.suffix != ".html"]
        return {str(p.relative_to(self.root)): p.read_bytes() for p in files if "timings" not in p.parts}


def make_chain(root: Path, prepared: Any, params: dict[str, Any], write_params: Any, template: Path) -> Chain:
    shutil.copy(template, root / "mlflow.db")
    params = {**copy.deepcopy(params), "enabled": list(ENABLED)}
    row = params["strategies"]["finetune"]  # on a smaller backbone, to save time
    row["recipe"] |= {"backbone": "compact", "weights": "random"}
    del row["recipe"]["cut"]
    row["space"]["cut"] = {"choices": [2, 3]}
    write_params(root, params)
    made = Chain(root, prepared)
    assert made.run("views") == 0
    return made


@pytest.fixture(scope="session")
def chain(
    tmp_path_factory: pytest.TempPathFactory,
    prepared: Any,
    _small_params: Any,
    write_params: Any,
    mlflow_template: Path,
) -> Chain:
    """Tune, train, compare and register, done. Shared: run nothing in it that changes what it holds."""
    made = make_chain(tmp_path_factory.mktemp("chain"), prepared, _small_params, write_params, mlflow_template)
    made.run_all()
    return made


@pytest.fixture(params=ENABLED)
def strategy(request: pytest.FixtureRequest) -> str:
    """Each strategy of the chain."""
    return request.param


@pytest.fixture
def new_chain(
    tmp_path: Path, prepared: Any, small_params: dict[str, Any], write_params: Any, mlflow_template: Path
) -> Any:
    """A function that makes a folder in which nothing has run yet, from `small_params` as the test has changed it."""
    return lambda: make_chain(tmp_path, prepared, small_params, write_params, mlflow_template)
