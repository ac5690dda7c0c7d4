"""Images in one folder per class: `<root>/<class>/<any name>`."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

KIND = "a folder of images per class"
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})


def matches(root: Path) -> bool:
    """Say whether the folder is of this kind."""
    return any(True for _ in images(root))


def read(root: Path) -> pd.DataFrame:
    """Return path and label of every image."""
    found = ((f"{p.parent.name}/{p.name}", p.parent.name) for p in images(root))
    return pd.DataFrame(found, columns=["path", "label"])


def images(root: Path, pattern: str = "*/*") -> Iterator[Path]:
    """Yield the image files, by their names, that a glob finds in a folder."""
    return (p for p in root.glob(pattern) if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
