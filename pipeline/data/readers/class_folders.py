"""Images in one folder per class: `<root>/<class>/<any name>`."""

import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from pipeline.common.errors import UserError

KIND = "a folder of images per class"
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})


def matches(root: Path) -> bool:
    """Say whether the folder is of this kind."""
    return any(True for _ in images(root))


def read(root: Path) -> pd.DataFrame:
    """Read path and label of every image; raise UserError naming a folder that cannot be listed."""
    check_listable(root)
    found = ((f"{p.parent.name}/{p.name}", p.parent.name) for p in images(root))
    return pd.DataFrame(found, columns=["path", "label"])


def empty_classes(root: Path) -> list[Path]:
    """Return the folders that stand where a class does and hold no image."""
    folders = (folder for folder in root.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    return sorted(folder for folder in folders if next(images(folder, "*"), None) is None)


def images(root: Path, pattern: str = "*/*") -> Iterator[Path]:
    """Yield the image files, recognised by suffix, that match a pattern in a folder."""
    return (p for p in root.glob(pattern) if p.suffix.lower() in SUFFIXES and not _hidden(p.relative_to(root)))


def _hidden(path: Path) -> bool:
    """Say whether a file, or a folder that it is in, is hidden, as the files of editors and file managers are."""
    return any(part.startswith(".") for part in path.parts)


def check_listable(root: Path, depth: int = 1) -> None:
    """Raise UserError naming a folder, up to `depth` levels down, that cannot be listed: a glob would skip it."""
    try:
        with os.scandir(root) as entries:
            folders = [Path(entry) for entry in entries if depth and entry.is_dir() and entry.name[0] != "."]
    except OSError as error:
        raise UserError(f"{root}: cannot be listed: {error.strerror}; change its permissions, or move it") from None
    for folder in folders:
        check_listable(folder, depth - 1)
