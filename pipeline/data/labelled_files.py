"""Labelled image files as they lie on disk, to ask a model in service about: the test images, or any folder."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.common.errors import UserError
from pipeline.common.files import read_csv, read_json
from pipeline.data import readers
from pipeline.data.image_files import ImageFiles
from pipeline.data.image_set import ABOUT, MANIFEST


@dataclass(frozen=True)
class LabelledFiles:
    """Image files in a folder, all in one order."""

    root: Path
    paths: tuple[str, ...]  # relative to root
    labels: tuple[str, ...]
    ids: tuple[str, ...]  # hashes of content where they are known, else paths
    digest: str = ""  # of test images, as stage prepare gave it; empty for any other folder

    def __len__(self) -> int:
        return len(self.paths)

    def contents(self, rows: np.ndarray | None = None) -> Iterator[bytes]:
        """Yield the files' bytes, or those of some rows; raise UserError where one cannot be read."""
        with ImageFiles(self.root) as files:
            for row in range(len(self)) if rows is None else rows:
                try:
                    yield files.read(self.paths[row])
                except ValueError as error:
                    raise UserError(
                        f"{self.root / self.paths[row]}: {error}; bring the images back to where they were prepared "
                        "from, or prepare anew: uv run dvc repro"
                    ) from None

    def targets(self, classes: tuple[str, ...]) -> np.ndarray:
        """Return labels as indices into classes (N,); raise UserError for a label that is none of them."""
        strange = sorted(set(self.labels) - set(classes))
        if strange:
            raise UserError(
                f"{self.root}: label(s) {', '.join(strange)} are none of the model's classes, {', '.join(classes)}"
            )
        index = {name: number for number, name in enumerate(classes)}
        return np.array([index[label] for label in self.labels], dtype=np.int64)


def test_files(packed: Path, root: Path) -> LabelledFiles:
    """Return the files of the test images in a folder that `prepare` wrote; `root` is what it read."""
    table = read_csv(packed / MANIFEST, {"path": str, "label": str, "id": str})
    return _of(table, root, str(read_json(packed / ABOUT)["digest"]))


def folder_files(root: Path, label: str) -> LabelledFiles:
    """Return the images of a folder of a kind that `prepare` reads; raise UserError where they have no such label."""
    table = readers.read(root)
    if readers.reader(root) is not readers.labels_table:
        label = "label"  # of folders and arrays, which give their labels no other name
    if label not in table:
        raise UserError(f"{root}: there is no column {label!r}; there are {', '.join(map(str, table))}")
    return _of(table.assign(label=table[label], id=table["path"]), root, "")


def _of(table: pd.DataFrame, root: Path, digest: str) -> LabelledFiles:
    paths, labels, ids = (tuple(map(str, table[name])) for name in ("path", "label", "id"))
    return LabelledFiles(root, paths, labels, ids, digest)
