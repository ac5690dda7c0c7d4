"""Images packed in arrays: images.npy and labels.npy in a folder, or `images` and `labels` in one .npz file."""

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.common.errors import UserError
from pipeline.data.image_arrays import MEMBER, ImageArray

KIND = "packed arrays"
COLUMNS = {
    "labels": "label",
    "group": "group",
    "split": "split",
    "weight": "weight",
}  # arrays beside the images; `labels` is required

Find = Callable[[str], np.ndarray | None]


def matches(root: Path) -> bool:
    """Say whether the folder, or file, is of this kind."""
    return root.suffix.lower() == ".npz" if root.is_file() else (root / MEMBER).is_file() or bool(_archives(root))


def read(root: Path) -> pd.DataFrame:
    """Read path, label and, if there are such arrays, group, split and weight of every row, as text.

    The path of a row consists of its array and its number: `images.npy/0000007`. Raise UserError naming the file.
    """
    archives = [root] if root.is_file() else _archives(root)
    plain = not root.is_file() and (root / MEMBER).is_file()
    if len(archives) + plain > 1:
        named = ", ".join([*([MEMBER] if plain else []), *(file.name for file in archives)])
        raise UserError(f"{root}: there is more than one array of images: {named}; set data.path to one .npz file")
    file = root / MEMBER if plain else archives[0]
    try:
        rows = ImageArray(file)
        rows.close()
        columns = _columns(_beside(file) if plain else _within(file), len(rows))
    except ValueError as error:
        raise UserError(f"{file}: {error}") from None
    prefix = "" if root.is_file() else f"{file.name}/"
    paths = [f"{prefix}{number:07}" for number in range(len(rows))]
    return pd.DataFrame({"path": paths, **columns})


def _archives(root: Path) -> list[Path]:
    return sorted(root.glob("*.npz"))


def _columns(find: Find, count: int) -> dict[str, np.ndarray]:
    found = {}
    for name, column in COLUMNS.items():
        values = find(name)
        if values is not None:
            found[column] = _texts(name, values, count)
    if "label" not in found:
        raise ValueError(f"there is no array `labels` beside the images; save one of {count} labels")
    return found


def _beside(file: Path) -> Find:
    def find(name: str) -> np.ndarray | None:
        path = file.with_name(f"{name}.npy")
        return _loaded(path, name) if path.is_file() else None

    return find


def _within(file: Path) -> Find:
    def find(name: str) -> np.ndarray | None:
        return _loaded(file, name, within=True)

    return find


def _loaded(file: Path, name: str, within: bool = False) -> np.ndarray | None:
    try:
        found = np.load(file, allow_pickle=False)
        if not within:
            return found
        with found:
            return found.get(name)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        why = "Python objects; expected numbers or text" if "bject arrays" in str(error) else str(error)
        raise ValueError(f"`{name}` cannot be read: {why}") from None


def _texts(name: str, values: np.ndarray, count: int) -> np.ndarray:
    """Convert an array (N,) or (N, 1) of integers or text to text; weights may be any numbers."""
    if values.shape not in ((count,), (count, 1)):
        raise ValueError(f"`{name}` has the shape {values.shape}; expected one for each of {count} images: ({count},)")
    if values.dtype.kind not in "iubUS" + ("f" if name == "weight" else ""):
        raise ValueError(f"`{name}` are {values.dtype}; expected whole numbers or text")
    flat = values.reshape(count)
    return (np.char.decode(flat, "utf-8") if flat.dtype.kind == "S" else flat.astype(str)).astype(object)
