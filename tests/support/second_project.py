"""A project of its own: prepared images, an MLflow database, and tiny networks that are better or worse."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd
import pytest
import torch

from pipeline.config.backbone_table import BACKBONES
from pipeline.config.recipe import Recipe
from pipeline.data import image_set
from pipeline.data.labelled_files import LabelledFiles, test_files
from pipeline.inference.classifier import Classifier
from pipeline.inference.network import Network
from pipeline.network.build import save_model
from pipeline.network.cut import describe
from pipeline.tracking import logged_models, served_scores
from pipeline.tracking.client import KEY
from pipeline.tracking.gate import Challenger, Rules
from pipeline.tracking.register_arms import ADMISSIBLE, GAIN, TOLERANCE
from pipeline.tracking.registry import Registry, Version
from tests.conftest import lay_out_images
from tests.support.asking import asked_once

MODEL = "tiny"
RULES = Rules(min_gain=0.05, margin=0.02, metric="accuracy", confidence=0.95, threads=1)


@dataclass(frozen=True)
class SecondProject:
    """A folder with params.yaml, data/prepared and mlflow.db."""

    root: Path

    @classmethod
    def make(cls, root: Path, params: dict[str, Any], write_params: Any, template: Path) -> "SecondProject":
        from pipeline.stages.prepare import main

        raw = lay_out_images(root / "raw", per_class=80, seed=7)
        params = {**params, "data": {**params["data"], "path": str(raw)}}
        file = write_params(root, params)
        paths = {"dev": "data/prepared/dev", "test": "data/prepared/test", "summary": "summary", "timings": "t.json"}
        words = [word for name, path in paths.items() for word in (f"--{name}", str(root / path))]
        with patch.dict(os.environ):
            assert main(["--params", str(file), *words]) == 0
        shutil.copy(template, root / "mlflow.db")
        return cls(root)

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.root / 'mlflow.db'}"

    @property
    def images(self) -> LabelledFiles:
        return test_files(self.root / "data/prepared/test", self.root / "raw")

    def registry(self) -> Registry:
        return Registry(self.root, MODEL)

    def train(self, name: str, seed: int, steps: int, classes: tuple[str, ...] = ()) -> Path:
        """Train a network for so many steps; return its folder."""
        images = image_set.load(self.root / "data/prepared/dev")
        recipe = Recipe(backbone="compact", weights="random", cut="input", image_size=24, epochs=1, learning_rate=0.1)
        spec = describe(recipe, BACKBONES["compact"], classes or images.classes, images.size, images.channels,
                        ("identity",))  # fmt: skip
        torch.manual_seed(seed)
        network = Network(spec)
        pixels = torch.from_numpy(images.images[:]).permute(0, 3, 1, 2)
        labels, optimizer = torch.from_numpy(images.labels), torch.optim.AdamW(network.parameters(), 0.01)
        for _ in range(steps):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(pixels), labels).backward()
            optimizer.step()
        save_model(network, spec, self.root / "models" / name)
        return self.root / "models" / name

    def register(self, folder: Path, **tags: str) -> Version:
        """Register a network under the name of its folder, as stage register does."""
        client = self.registry().client
        found = client.get_experiment_by_name("tiny")
        experiment = found.experiment_id if found else client.create_experiment(
            "tiny", (self.root / "mlartifacts").as_uri())  # fmt: skip
        run = client.create_run(experiment, run_name=folder.name).info.run_id
        logged = logged_models.find_or_log(client, run, folder, folder.name, {})
        known = {KEY: logged_models.model_key(folder), "strategy": folder.name, "data": "digest", "commit": "abc"}
        number = self.registry().add(
            logged, [f"best-{folder.name}"], known, {GAIN: "0.4", ADMISSIBLE: "true", TOLERANCE: "1e-4", **tags}
        )
        version = self.registry().version(str(number))
        served_scores.keep(self.registry(), version, self.images.digest, self.evaluated(folder))
        return version

    def evaluated(self, folder: Path) -> pd.DataFrame:
        """Return a network's probabilities on the test images by id, found in this process."""
        table = Classifier(folder).predict(list(self.images.contents()))
        table.index = list(self.images.ids)
        table = table[[name for name in table if name.startswith("p_")]].rename(columns=lambda name: name[2:])
        return table[~table.index.duplicated()]

    def challenger(self, folder: Path, version: Version) -> Challenger:
        return Challenger(version, 0.4, True, 1e-4, False, self.evaluated(folder))


@pytest.fixture(scope="module")
def trained_project(
    tmp_path_factory: pytest.TempPathFactory, _small_params: dict[str, Any], write_params: Any, mlflow_template: Path
) -> SecondProject:
    """Return a project with two networks that are right, `good` and `equal`, and two that are not trained."""
    root = tmp_path_factory.mktemp("second")
    project = SecondProject.make(root, _small_params, write_params, mlflow_template)
    for name, seed, steps in (("good", 1, 60), ("equal", 2, 60), ("worse", 3, 0), ("poor", 4, 0)):
        project.train(name, seed, steps)
    return project


@pytest.fixture
def project(
    trained_project: SecondProject, mlflow_template: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SecondProject]:
    """Return it with nothing registered; what its models say is asked once."""
    shutil.copy(mlflow_template, trained_project.root / "mlflow.db")
    shutil.rmtree(trained_project.root / "mlartifacts", ignore_errors=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", trained_project.uri)
    monkeypatch.chdir(trained_project.root)
    with asked_once():
        yield trained_project


@pytest.fixture
def add(project: SecondProject) -> Any:
    """Return a function that registers a network by the name of its folder."""
    return lambda name, **tags: project.register(project.root / "models" / name, **tags)
