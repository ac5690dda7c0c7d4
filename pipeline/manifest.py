"""From a folder of image files to packed arrays: who is who, what is wrong, and one array per split."""

import hashlib
import math
from array import array
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.errors import UserError
from pipeline.records import atomic, write_json
from pipeline.serving import decode, is_grey

Progress = Callable[[int], object]
Facts = tuple[str, int, int, bool]  # of a file: content hash, width and height in pixels, whether it is grey
SHOWN = 10  # problems that a message lists


def index(root: Path, table: pd.DataFrame, label: str, stratify: tuple[str, ...], progress: Progress) -> pd.DataFrame:
    """Return the table with `id` (content hash), `label`, `stratum`, `width`, `height` and `grey` for each file.

    Raise UserError naming every file that is missing, outside the folder or no image, up to ten of them.
    """
    _check_columns(root, table, label, stratify)
    return assemble(table, _read_all(root, table["path"], progress), label, stratify)


def _check_columns(root: Path, table: pd.DataFrame, label: str, stratify: tuple[str, ...]) -> None:
    for column in (label, *stratify):
        if column not in table:
            raise UserError(f"{root}: there is no column {column!r}; there are {', '.join(map(str, table))}")
    if (empty := table[label].str.strip() == "").any():
        raise UserError(f"{root}: no label for {table['path'][empty].iloc[0]} ({empty.sum()} such rows)")


def _read_all(root: Path, paths: Iterable[str], progress: Progress) -> Iterator[Facts]:
    """Yield the facts of each file; raise UserError after the last where some cannot be used."""
    failed, shown = 0, []
    for path in paths:
        try:
            yield _facts(root, path)
        except ValueError as error:
            failed += 1
            if failed <= SHOWN:
                shown.append(f"\n  {path}: {error}")
        progress(1)
    if failed:
        raise UserError(f"{root}: {failed} file(s) cannot be used; mend or remove them:{''.join(shown)}")


def assemble(table: pd.DataFrame, facts: Iterable[Facts], label: str, stratify: tuple[str, ...]) -> pd.DataFrame:
    """Return the table with what is known of each file, in its order, and with `label` and `stratum`."""
    # A list of tuples would take five times the memory of these columns.
    ids: list[str] = []
    widths, heights, greys = array("q"), array("q"), bytearray()
    for content, width, height, grey in facts:
        ids.append(content)
        widths.append(width)
        heights.append(height)
        greys.append(grey)
    sizes = {"width": np.frombuffer(widths, np.int64), "height": np.frombuffer(heights, np.int64)}
    made = pd.DataFrame({"id": ids, **sizes, "grey": np.frombuffer(greys, bool)})
    stratum = table[label]
    for column in stratify:
        stratum = stratum + "/" + table[column]
    rest = table.drop(columns=["label", "stratum", "split", *made], errors="ignore")
    return pd.concat([made, rest, pd.DataFrame({"label": table[label], "stratum": stratum})], axis=1)


def _facts(root: Path, path: str) -> Facts:
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
    return hashlib.sha256(data).hexdigest()[:32], width, height, grey


def check_labels(manifest: pd.DataFrame, test_fraction: float, valid_fraction: float) -> None:
    """Raise UserError for one class alone, for contradicting copies, or for a class too small to be split."""
    distinct = manifest.drop_duplicates("id")
    pairs = manifest[["id", "label"]].drop_duplicates()["id"]
    contradicting = pairs[pairs.duplicated()].drop_duplicates()
    if len(contradicting):
        paths = manifest.loc[manifest["id"] == contradicting.min(), ["path", "label"]].itertuples(index=False)
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
