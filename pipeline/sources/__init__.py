"""Kinds of sources. A reader turns a folder into a table (path, label, ...); a demo lays such a folder out."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from pipeline.errors import UserError
from pipeline.sources import class_folders, elpv, labels_csv

# The first reader that recognises a folder reads it.
READERS = (labels_csv, class_folders)
DEMOS: dict[str, Callable[[Path], int]] = {"elpv": elpv.lay_out}


def read(root: Path) -> pd.DataFrame:
    """Return one row per image, sorted by `path` (relative to root): path, and the columns the source knows.

    Raise UserError where the folder is missing or no reader knows its shape.
    """
    if not root.is_dir():
        raise UserError(f"data.path: {root} is not a folder; put your images there, or set data.path to where they are")
    for reader in READERS:
        if reader.matches(root):
            return reader.read(root).sort_values("path", ignore_index=True)
    raise UserError(
        f"data.path: {root} holds neither a labels.csv (columns path and label) nor a folder of images per class"
    )
