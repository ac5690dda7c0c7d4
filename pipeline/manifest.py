"""From a folder of image files to packed arrays: who is who, what is wrong, and one array per split."""

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.errors import UserError
from pipeline.records import atomic, write_json
from pipeline.serving import decode, is_grey

Progress = Callable[[int], object]


def index(root: Path, table: pd.DataFrame, label: str, stratify: tuple[str, ...], progress: Progress) -> pd.DataFrame:
    """Return the table with `id` (content hash), `label`, `stratum`, `width`, `height` and `grey` for each file.

    Raise UserError naming every file that is missing, outside the folder or no image, up to ten of them.
    """
    for column in (label, *stratify):
        if column not in table:
            raise UserError(f"{root}: there is no column {column!r}; there are {', '.join(map(str, table))}")
    if (empty := table[label].str.strip() == "").any():
        raise UserError(f"{root}: no label for {table['path'][empty].iloc[0]} ({empty.sum()} such rows)")
    facts, problems = [], []
    for path in table["path"]:
        try:
            facts.append(_facts(root, path))
        except ValueError as error:
            problems.append(f"  {path}: {error}")
        progress(1)
    if problems:
        shown = "\n".join(problems[:10])
        raise UserError(f"{root}: {len(problems)} file(s) cannot be used; mend or remove them:\n{shown}")
    stratum = table[[label, *stratify]].agg("/".join, axis=1)
    made = pd.DataFrame(facts)
    rest = table.drop(columns=["label", "stratum", "split", *made], errors="ignore")
    return pd.concat([made, rest, pd.DataFrame({"label": table[label], "stratum": stratum})], axis=1)


def _facts(root: Path, path: str) -> dict[str, Any]:
    file = root / path
    if not file.resolve().is_relative_to(root.resolve()):
        raise ValueError("leads out of the data folder")
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ValueError(error.strerror) from None
    if not data:
        raise ValueError("the file is empty")
    try:
        with Image.open(file) as image:
            width, height = image.size
        grey = is_grey(data)
    except (OSError, Image.DecompressionBombError):
        raise ValueError("not a readable image") from None
    return {"id": hashlib.sha256(data).hexdigest()[:32], "width": width, "height": height, "grey": grey}


def check_labels(manifest: pd.DataFrame, test_fraction: float, valid_fraction: float) -> None:
    """Raise UserError for one class alone, for contradicting copies, or for a class too small to be split."""
    distinct = manifest.drop_duplicates("id")
    contradicting = manifest.groupby("id")["label"].nunique().loc[lambda n: n > 1]
    if len(contradicting):
        paths = manifest.loc[manifest["id"] == contradicting.index[0], ["path", "label"]].itertuples(index=False)
        listed = ", ".join(f"{path} ({label})" for path, label in paths)
        raise UserError(f"the same image has different labels: {listed}; {len(contradicting)} such image(s). Keep one.")
    counts = distinct["label"].value_counts()
    if len(counts) < 2:
        raise UserError(f"all images have the label {counts.index[0]!r}; a comparison needs two classes or more")
    least = math.ceil(1 / min(test_fraction, (1 - test_fraction) * valid_fraction))
    small = counts[counts < least]
    if len(small):
        named = ", ".join(f"{label!r} ({count})" for label, count in small.items())
        raise UserError(
            f"too few different images for train, valid and test: {named}; with prepare.test_fraction {test_fraction} "
            f"and valid_fraction {valid_fraction} each label needs {least}. Add images or drop the label."
        )


def pack(root: Path, manifest: pd.DataFrame, out: Path, size: int, classes: list[str], grey: bool, max_pixels: int,
         progress: Progress) -> str:  # fmt: skip
    """Write images.npy (uint8), manifest.csv and about.json into a folder; return the digest of it all.

    Raise UserError naming a file that cannot be decoded.
    """
    channels = 1 if grey else 3
    sha = hashlib.sha256(manifest[["id", "label", "stratum"]].to_csv(index=False).encode())
    with atomic(out / "images.npy") as temporary:
        array = np.lib.format.open_memmap(temporary, "w+", np.uint8, (len(manifest), size, size, channels))
        for position, path in enumerate(manifest["path"]):
            try:
                array[position] = decode((root / path).read_bytes(), size, channels, max_pixels)
            except ValueError as error:
                raise UserError(f"{root / path}: {error}; mend or remove it") from None
            sha.update(array[position].tobytes())
            progress(1)
        array.flush()
    with atomic(out / "manifest.csv") as temporary:
        manifest.to_csv(temporary, index=False)
    digest = sha.hexdigest()[:16]
    write_json(out / "about.json", {"classes": classes, "digest": digest, "images": len(manifest)})
    return digest
