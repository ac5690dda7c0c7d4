"""The tasks that peers are measured on: laid out and split by our own stages, read from image files by the tools."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.common.files import read_json, write_json
from pipeline.common.hashes import digest
from pipeline.config.params import Params, Prepare
from pipeline.data import folds, image_set
from pipeline.data.preparation import prepare

DEMO = "demo"
LEAST, MOST = 64, 224  # pixels a side; between them, images keep their own size
DEMO_SIDE = 300
ZOO = ("furniture", "hebrew", "textures", "crowns", "chess")  # small tasks of the half that results are reported on
NAMES = (DEMO, *ZOO)


@dataclass(frozen=True)
class Split:
    """Image files and their labels, in one order."""

    paths: tuple[Path, ...]
    labels: np.ndarray  # int64 (N,), indices into the classes

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Data:
    """What a tool is given to train with. The test split is not part of it."""

    classes: tuple[str, ...]
    size: int  # pixels a side of the network's input
    train: Split
    valid: Split


@dataclass(frozen=True)
class Folders:
    """Where a task's files are, below the folder of all tasks."""

    root: Path

    @property
    def raw(self) -> Path:
        """Return the folder of image files."""
        return self.root / "raw"

    @property
    def dev(self) -> Path:
        """Return what `prepare` wrote of train and valid."""
        return self.root / "dev"

    @property
    def test(self) -> Path:
        """Return what `prepare` wrote of test."""
        return self.root / "test"

    def training(self, valid_fraction: float, seed: int) -> Data:
        """Return train and valid as a training of ours with this seed draws them."""
        images = image_set.load(self.dev)
        paths = self._paths(self.dev)
        parts = folds.train_valid(images, valid_fraction, seed)
        train, valid = (Split(tuple(paths[row] for row in rows), images.labels[rows]) for rows in parts)
        return Data(images.classes, images.size, train, valid)

    def testing(self) -> Split:
        """Return the test split."""
        return Split(tuple(self._paths(self.test)), image_set.load(self.test).labels)

    def test_digest(self) -> str:
        """Identify the test split, whatever the size of its images is."""
        return digest_of(image_set.load(self.test).ids.tolist())

    def _paths(self, folder: Path) -> list[Path]:
        names = pd.read_csv(folder / image_set.MANIFEST, dtype=str, usecols=["path"])["path"]
        return [self.raw / name for name in names]


def digest_of(ids: Sequence[str]) -> str:
    """Identify a set of images by the hashes of their files."""
    return digest(sorted(set(ids)))


def make(name: str, work: Path, params: Params) -> Folders:
    """Lay a task out and prepare it, unless it is there; raise UserError where it cannot be had."""
    folders = Folders(work / name)
    _lay_out(name, folders.raw, work / ".packages")
    wanted = settings(name, params.prepare)
    done = folders.root / "prepared.json"
    if not done.exists() or read_json(done) != wanted.model_dump(mode="json"):
        prepare(folders.raw, params.data.label if name == DEMO else "label", wanted, MOST, folders.dev, folders.test)
        write_json(done, wanted)
    return folders


def settings(name: str, ours: Prepare) -> Prepare:
    """Return how a task is prepared: as params.yaml says, but for the size, and for columns that only the demo has."""
    if name == DEMO:
        return ours.model_copy(update={"image_size": min(max(DEMO_SIDE, LEAST), MOST)})
    from benchmarks.zoo.tasks import TASKS

    side = next(task.side for task in TASKS if task.name == name)
    return ours.model_copy(update={"image_size": min(max(side, LEAST), MOST), "stratify": ()})


def _lay_out(name: str, raw: Path, packages: Path) -> None:
    if name != DEMO:
        from benchmarks.zoo.__main__ import chosen
        from benchmarks.zoo.build import build

        build(chosen([name])[0], raw, packages)
    elif not raw.exists():
        from pipeline.data.datasets import by_name

        by_name.lay_out("elpv", raw, packages, lambda count: lambda step: None)
