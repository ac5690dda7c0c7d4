"""FER2013: 35,887 grey faces of 48x48 pixels, by expression (Goodfellow et al. 2013), from the user's file.

It is one of the files that torchvision.datasets.FER2013 reads. It is read here, row by row, since torchvision keeps all
pixels as Python objects and calls both of its two test parts `test`.
"""

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.common.errors import UserError
from pipeline.data.datasets.layouts import Item, Steps, as_arrays

PAGE = "https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-recognition-challenge"
# In order of precedence, as in torchvision, with the MD5 of the published files. train.csv has no splits.
FILES = {
    "fer2013.csv": "f8428a1edbd21e88f42c73edd2a14f95",
    "icml_face_data.csv": "b114b9e04e6949e5fe8b6a98b3892b1d",
    "train.csv": "3f0dfb3d3fd99c811a1299cb947e3131",
}
EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")  # by their numbers, as on the page
SPLITS = {"Training": "train", "PublicTest": "valid", "PrivateTest": "test"}
SIDE = 48


def lay_out(out: Path, downloads: Path, steps: Steps) -> int:
    """Write the faces as packed arrays; return their number.

    Raise UserError where the file is damaged, or missing: then the message says where to get it and where to put it.
    """
    folder = downloads.resolve()
    file = next((folder / name for name in FILES if (folder / name).is_file()), None)
    if file is None:
        raise UserError(
            f"FER2013 has to be fetched by you, since Kaggle requires an account and consent to its terms. Fetch "
            f"fer2013.csv, icml_face_data.csv or train.csv (train.csv has no splits) from\n  {PAGE}\nput it into\n"
            f"  {folder}\nand run again: dvc repro"
        )
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "md5").hexdigest()
        stream.seek(0)
        lines = sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(1 << 20), b""))
    if digest != FILES[file.name]:
        print(
            f"{file}: differs from the published file (MD5 {digest}, not {FILES[file.name]}); it is used all the same"
        )
    (out / "LICENCE.txt").write_text(f"FER2013, {PAGE}: under the terms of that page, for research.\n")
    try:
        return as_arrays(out, _faces(file), steps(max(lines - 1, 0)))
    except ValueError as error:  # UnicodeDecodeError among them
        raise UserError(f"{file}: {error}; fetch it again from {PAGE}") from None
    except csv.Error as error:
        raise UserError(f"{file}: not a CSV file: {error}; fetch it again from {PAGE}") from None


def _faces(file: Path) -> Iterator[Item]:
    """Yield the faces in order; raise ValueError naming the line of an invalid row."""
    with file.open(newline="", encoding="utf-8-sig") as stream:
        rows = csv.reader(stream)
        columns = [name.strip() for name in next(rows, [])]  # icml_face_data.csv has spaces before the names
        if not {"emotion", "pixels"} <= set(columns):
            raise ValueError(f"expected the columns emotion, pixels and, but for train.csv, Usage; found {columns}")
        for cells in rows:
            try:
                yield _face(dict(zip(columns, cells, strict=True)))
            except ValueError as error:
                raise ValueError(f"line {rows.line_num}: {error}") from None


def _face(row: dict[str, str]) -> Item:
    code = row["emotion"].strip()
    if code not in map(str, range(len(EMOTIONS))):
        raise ValueError(f"expected an emotion from 0 to {len(EMOTIONS) - 1}, found {code!r}")
    pixels = np.array([int(value) for value in row["pixels"].split()])
    if len(pixels) != SIDE * SIDE or pixels.min() < 0 or pixels.max() > 255:
        raise ValueError(f"expected {SIDE * SIDE} pixels from 0 to 255, found {len(pixels)}")
    usage = row.get("Usage")
    if usage is not None and usage.strip() not in SPLITS:
        raise ValueError(f"expected Usage to be one of {', '.join(SPLITS)}; found {usage!r}")
    split = SPLITS[usage.strip()] if usage is not None else ""
    return Item(pixels.astype(np.uint8).reshape(SIDE, SIDE), EMOTIONS[int(code)], split)
