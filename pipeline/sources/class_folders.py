"""Images in one folder per class: `<root>/<class>/<any name>`."""

from pathlib import Path

import pandas as pd

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})


def matches(root: Path) -> bool:
    """Say whether the folder is of this kind."""
    return any(_images(root))


def read(root: Path) -> pd.DataFrame:
    """Return path and label of every image."""
    return pd.DataFrame([{"path": p.relative_to(root).as_posix(), "label": p.parent.name} for p in _images(root)])


def _images(root: Path) -> list[Path]:
    return [p for p in root.glob("*/*") if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
