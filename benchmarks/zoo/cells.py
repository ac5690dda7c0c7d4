"""Tasks of the demo's solar cells, by the columns that the demo does not learn."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from benchmarks.zoo.folder import Picture
from pipeline.data.datasets.elpv import lay_out

SIDE, MIDDLE = 300, 128  # pixels of a photograph's side, and of its middle's


def grades(packages: Path) -> Iterator[Picture]:
    """Yield photographs of cells by how likely experts held a defect to be."""
    return _cells("grade", SIDE)


def wafers(packages: Path) -> Iterator[Picture]:
    """Yield the middles of photographs of cells by what they are cut from: one crystal or many.

    Corners are left out: those of cells of one crystal are cut off, and a linear model of grey pixels sees that.
    """
    return _cells("cell_type", MIDDLE)


def _cells(column: str, side: int) -> Iterator[Picture]:
    start = (SIDE - side) // 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(folder, folder, lambda count: lambda done: None)
        table = pd.read_csv(folder / "labels.csv")
        for path, label in zip(table["path"], table[column]):
            with Image.open(folder / path) as image:
                middle = image.convert("L").crop((start, start, start + side, start + side))
                yield Picture(np.asarray(middle), str(label))
