"""Images that are already split, in one folder per class: `<root>/<train, valid or test>/<class>/<any name>`."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from pipeline.common.errors import UserError
from pipeline.data.readers.class_folders import check_listable, images
from pipeline.data.readers.class_folders import empty_classes as empty_folders

KIND = "a folder of images per class, already split"
# Names of the splits in folders, in any case, and here.
SPLITS = {"train": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": "test"}


def matches(root: Path) -> bool:
    """Say whether the folder is of this kind."""
    return any(True for side in _sides(root) for _ in images(side))


def read(root: Path) -> pd.DataFrame:
    """Read path, label and split (the name of its folder) of every image.

    Raise UserError where there are images outside of the class folders of train, valid and test.
    """
    check_listable(root, depth=2)
    sides = list(_sides(root))
    others = [folder for folder in root.iterdir() if folder.is_dir() and folder not in sides]
    stray = [*images(root, "*"), *(p for side in sides for p in images(side, "*"))]
    stray += [p for folder in others for pattern in ("*", "*/*") for p in images(folder, pattern)]
    if stray:
        raise UserError(
            f"{root}: {', '.join(sorted(side.name for side in sides))} hold class folders, and {len(stray)} "
            f"image(s) are elsewhere, such as {min(stray).relative_to(root)}; move or remove them"
        )
    found = (
        (f"{side.name}/{p.parent.name}/{p.name}", p.parent.name, side.name) for side in sides for p in images(side)
    )
    return pd.DataFrame(found, columns=["path", "label", "split"])


def empty_classes(root: Path) -> list[Path]:
    """Return the folders that stand where a class of a side does and hold no image."""
    return sorted(folder for side in _sides(root) for folder in empty_folders(side))


def _sides(root: Path) -> Iterator[Path]:
    return (folder for folder in root.iterdir() if folder.name.lower() in SPLITS and folder.is_dir())
