"""A task on the disk: PNG files, a labels.csv, and a checksum of what a reader sees of them."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image


class Picture(NamedTuple):
    """An image, (H, W) or (H, W, 3) of uint8; its label; and what it shares with its kin: a font, an artist."""

    pixels: np.ndarray
    label: str
    group: str = ""


def write(out: Path, pictures: Iterable[Picture], licence: str) -> None:
    """Write images/00001.png and so on, labels.csv (path, label and, where there are any, group) and LICENCE.txt.

    Files are numbered in the order of a hash of their pixels, so that neither names nor dates tell a label. Of equal
    images with one label the first is kept; those with several labels, which nobody could tell apart, are left out.
    """
    kept = sorted(_distinct(pictures).items())
    (out / "images").mkdir(parents=True)
    rows = []
    for number, (_, picture) in enumerate(kept, 1):
        path = f"images/{number:05}.png"
        Image.fromarray(picture.pixels).save(out / path)
        rows.append((path, picture.label, picture.group))
    table = pd.DataFrame(rows, columns=["path", "label", "group"])
    if not table["group"].any():
        table = table.drop(columns="group")
    table.to_csv(out / "labels.csv", index=False, lineterminator="\n")
    (out / "LICENCE.txt").write_text(licence + "\n", encoding="utf-8")


def _distinct(pictures: Iterable[Picture]) -> dict[str, Picture]:
    found: dict[str, Picture] = {}
    unclear = set()
    for picture in pictures:
        key = _digest(picture.pixels).hexdigest()
        if found.setdefault(key, picture).label != picture.label:
            unclear.add(key)
    return {key: picture for key, picture in found.items() if key not in unclear}


def checksum(folder: Path) -> str:
    """Return the SHA-256 of labels.csv and of the decoded pixels, whatever release of a library packed the files."""
    table = (folder / "labels.csv").read_bytes()
    found = hashlib.sha256(table)
    for path in pd.read_csv(folder / "labels.csv", dtype=str, keep_default_na=False)["path"]:
        with Image.open(folder / path) as image:
            found.update(_digest(np.asarray(image)).digest())
    return found.hexdigest()


def _digest(pixels: np.ndarray) -> "hashlib._Hash":
    found = hashlib.sha256(repr(pixels.shape).encode())
    found.update(np.ascontiguousarray(pixels, np.uint8).tobytes())
    return found
