"""What tests share: a data set small enough to train on, and the real params.yaml made small."""

import copy
import os
import shutil
import signal
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy and torch load
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
import pytest
import yaml
from hypothesis import settings
from PIL import Image

from pipeline.config.params import Params
from pipeline.data.image_set import ImageSet, load
from tests.support import order
from tests.support.imports import ROOT

signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
settings.register_profile("house", max_examples=30, deadline=None, derandomize=True)
settings.load_profile("house")

CLASSES = ("low", "top")  # where the bright square is: flipping left and right leaves it so


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items.sort(key=lambda item: order.rank(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Share tests out by file, and files that belong together to one process."""
    return order.scheduler(config, log) if config.getoption("dist") == "loadfile" else None


@dataclass(frozen=True)
class Prepared:
    params: Path
    dev: Path
    test: Path
    summary: Path


@pytest.fixture(autouse=True)
def _same_environment() -> Iterator[None]:
    """Undo what a stage's main does to the environment of its process, and what urllib keeps of it: proxies."""
    with patch.dict(os.environ), patch.object(urllib.request, "_opener", None):
        yield


def draw_image(name: str, rng: np.random.Generator, size: int = 24) -> np.ndarray:
    """Return a grey image (size, size): noise, and a bright square in its upper or lower half."""
    image = rng.integers(0, 60, (size, size), dtype=np.uint8)
    edge = size // 3
    top = rng.integers(0, size // 2 - edge + 1) + (size // 2 if name == "low" else 0)
    left = rng.integers(0, size - edge + 1)
    image[top : top + edge, left : left + edge] += 180
    return image


def lay_out_images(root: Path, per_class: int = 24, seed: int = 0) -> Path:
    """Write PNG images and labels.csv (path, label, camera) as a user would bring them; return the folder."""
    rng = np.random.default_rng(seed)
    root.mkdir(parents=True, exist_ok=True)
    rows = ["path,label,camera"]
    for number in range(2 * per_class):
        name = CLASSES[number % 2]
        Image.fromarray(draw_image(name, rng)).save(root / f"{number:03}.png")
        rows.append(f"{number:03}.png,{name},{'ab'[number // 2 % 2]}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 images in two classes that are easy to tell apart. Shared: `lay_out` makes one to change."""
    return lay_out_images(tmp_path_factory.mktemp("raw"))


@pytest.fixture
def lay_out(tmp_path: Path) -> Callable[..., Path]:
    """A function that makes such a folder in tmp_path; keywords as of `lay_out_images`."""
    return lambda name="raw", **wanted: lay_out_images(tmp_path / name, **wanted)


@pytest.fixture(scope="session")
def _small_params(image_folder: Path) -> dict[str, Any]:
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["data"] |= {"name": "tiny", "path": str(image_folder), "label": "label"}
    params["download"] = []
    params["prepare"] |= {"image_size": 32, "stratify": ["camera"]}
    params["features"] |= {"views": ["identity", "hflip"]}
    params["search"] |= {"trials_per_round": 2, "promote_fraction": 0.5, "budget": None, "workers": 1}
    params["train"] |= {"seeds": [1, 2], "fractions": [0.5, 1]}
    params["compare"] |= {"resamples": 100}
    params["register"] |= {"model": "tiny"}
    params["tracking"] |= {"experiment": "tiny"}
    for row in params["strategies"].values():
        row |= {"trials": 2, "rungs": [1], "startup_trials": None, "trials_per_round": None}
        if "proxy" in row:
            row |= {"proxy": {"image_size": 24}, "confirm": 1}
        row["recipe"] |= {"image_size": 32, "epochs": 2, "batch_size": 8, "hidden": 16}
        row["space"].pop("hidden", None)
    Params(**params)
    return params


@pytest.fixture
def small_params(_small_params: dict[str, Any]) -> dict[str, Any]:
    """The real params.yaml as a dict, made small; change it as you like."""
    return copy.deepcopy(_small_params)


@pytest.fixture(scope="session")
def write_params() -> Callable[[Path, dict[str, Any]], Path]:
    """A function that writes a dict to params.yaml in a folder and returns the file."""

    def write(folder: Path, params: dict[str, Any]) -> Path:
        file = folder / "params.yaml"
        file.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
        return file

    return write


@pytest.fixture(scope="session")
def prepared(
    tmp_path_factory: pytest.TempPathFactory, _small_params: dict[str, Any], write_params: Callable[..., Path]
) -> Prepared:
    """The data set as the prepare stage leaves it. Shared: do not write into it."""
    from pipeline.stages.prepare import main

    root = tmp_path_factory.mktemp("prepared")
    made = Prepared(write_params(root, _small_params), root / "dev", root / "test", root / "summary")
    paths = {"params": made.params, "dev": made.dev, "test": made.test, "summary": made.summary}
    argv = [str(part) for name, path in paths.items() for part in (f"--{name}", path)]
    with patch.dict(os.environ):
        assert main([*argv, "--timings", str(root / "timings.json")]) == 0
    return made


@pytest.fixture(scope="session")
def image_set(prepared: Prepared) -> ImageSet:
    """Train and valid, loaded."""
    return load(prepared.dev)


@pytest.fixture(scope="session")
def mlflow_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables made, which takes seconds; `tracking_uri` copies it."""
    from pipeline.tracking.runs import connect

    root = tmp_path_factory.mktemp("mlflow")
    with patch.dict(os.environ, {"MLFLOW_TRACKING_URI": f"sqlite:///{root / 'mlflow.db'}"}):
        connect(root)
    return root / "mlflow.db"


@pytest.fixture
def tracking_uri(mlflow_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of a fresh MLflow database in tmp_path, set in the environment."""
    uri = f"sqlite:///{shutil.copy(mlflow_template, tmp_path / 'mlflow.db')}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri
