"""Images in one folder per class: `<root>/<class>/<any name>`."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})


def matches(root: Path) -> bool:
    """Say whether the folder is of this kind."""
    return any(True for _ in _images(root))


def read(root: Path) -> pd.DataFrame:
    """Return path and label of every image."""
    found = ((f"{p.parent.name}/{p.name}", p.parent.name) for p in _images(root))
    return pd.DataFrame(found, columns=["path", "label"])


def _images(root: Path) -> Iterator[Path]:
    return (p for p in root.glob("*/*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
