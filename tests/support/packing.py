"""Index and pack a folder of images as the prepare stage does, in one call."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.config.params import Prepare
from pipeline.data import cleaning, manifest
from pipeline.data.scan import Plan, Squares, read


def nothing(count: int) -> None:
    """Make no progress."""


def index(
    root: Path, table: pd.DataFrame, label: str = "label", stratify: tuple[str, ...] = (), max_pixels: int = 10**6
) -> pd.DataFrame:
    """Return the table with what is known of each image."""
    wanted = Prepare(
        image_size=8, test_fraction=0.25, valid_fraction=0.2, seed=0, stratify=stratify, near_duplicate_bits=None
    )
    plan = Plan(root, 8, max_pixels)
    return cleaning.clean(root, table, label, wanted, lambda paths: read(plan, paths, nothing), cleaning.refuse).table


def pack(root: Path, table: pd.DataFrame, out: Path, size: int = 16, grey: bool = True) -> str:
    """Pack the images of a table that `index` made; return the digest."""
    plan = Plan(root, size, 10**6, out.with_name("squares"))
    with Squares(plan) as squares:
        assert not [found for found in read(plan, list(table["path"]), nothing) if isinstance(found, str)]
        classes = sorted(table["label"].unique())
        return manifest.pack(table, squares, np.arange(len(table)), out, classes, grey, nothing)
