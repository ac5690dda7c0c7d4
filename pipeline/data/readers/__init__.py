"""Kinds of image folders: the first reader that recognises a folder turns it into a table (path, label, ...).

A reader looks at names and tables, never at pixels. The columns `split` and `group`, common to all kinds, are checked
here. Read `class_folders.py` first for the simplest, then `READERS` below.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.common.errors import UserError
from pipeline.data.readers import arrays, class_folders, labels_table, split_folders

# The first reader that recognises a folder reads it.
READERS = (labels_table, split_folders, class_folders, arrays)


def read(root: Path) -> pd.DataFrame:
    """Read one row per image, sorted by `path` (relative to root): path, and whatever columns the source has.

    A column `split` holds train, valid or test; the images of a `group` stay in one split. Raise UserError where the
    folder is missing, no reader recognises it, or one of these columns is invalid.
    """
    table = reader(root).read(root).sort_values("path", ignore_index=True)
    for problem in problems(root, table):
        raise UserError(problem)
    return normalise_splits(table)


def reader(root: Path) -> Any:
    """Return the module of READERS that reads a folder or file; raise UserError where there is none."""
    if not root.is_dir() and not (root.is_file() and arrays.matches(root)):
        what = "is neither a folder nor an .npz file" if root.exists() else "does not exist"
        raise UserError(f"data.path: {root} {what}; put your images there, or set data.path to where they are")
    if root.is_dir():
        class_folders.check_listable(root, depth=0)
    for each in READERS if root.is_dir() else (arrays,):
        if each.matches(root):
            return each
    class_folders.check_listable(root)
    raise UserError(
        f"data.path: {root} holds neither a labels.csv or labels.parquet (columns path and label) nor a folder of "
        "images per class, nor images.npy with labels.npy, nor a .npz file"
    )


def problems(root: Path, table: pd.DataFrame, shown: int = 1) -> Iterator[str]:
    """Yield the problems of the columns `split` and `group`, naming up to `shown` rows each."""
    if "split" in table:
        sides = table["split"].str.strip().str.lower()
        wrong = table[~sides.isin(list(split_folders.SPLITS))]
        if len(wrong):
            named = ", ".join(f"{path} ({side!r})" for path, side in zip(wrong["path"][:shown], wrong["split"][:shown]))
            known = ", ".join(split_folders.SPLITS)
            yield f"{root}: expected each split to be one of {known}; found {named} ({len(wrong)} such rows)"
        have = set(sides.map(split_folders.SPLITS).dropna())
        for side in ("train", "test"):
            if not len(wrong) and side not in have:
                yield (
                    f"{root}: your split has no {side} images, only {' and '.join(sorted(have))}; add some, or use no "
                    "split of your own (one folder per class, no column split), and a test split is drawn"
                )
    if "group" in table:
        empty = table["path"][table["group"].str.strip() == ""]
        if len(empty):
            yield (
                f"{root}: no group for {', '.join(empty[:shown])} ({len(empty)} such rows); give each image that "
                "belongs to no group a unique name, or drop the column"
            )


def empty_classes(root: Path) -> list[str]:
    """Return the folders that stand where a class does and hold no image, each with what it holds."""
    reads = reader(root)
    empty = reads.empty_classes(root) if reads in (class_folders, split_folders) else []
    return [f"{folder.relative_to(root)} ({_held(folder)})" for folder in empty]


def _held(folder: Path) -> str:
    others = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    return f"{len(others)} other file(s) or folder(s), such as {others[0]}" if others else "empty"


def normalise_splits(table: pd.DataFrame) -> pd.DataFrame:
    """Rename the splits of a table to train, valid and test; anything else becomes empty."""
    if "split" not in table:
        return table
    return table.assign(split=table["split"].str.strip().str.lower().map(split_folders.SPLITS).fillna(""))
