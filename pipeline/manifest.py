"""From the images of a source to packed arrays: who is who, what is wrong, and one array per split."""

import hashlib
import io
import math
from array import array
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.errors import UserError
from pipeline.records import atomic, write_json
from pipeline.rows import Rows
from pipeline.serving import decode, is_grey

Progress = Callable[[int], object]
Facts = tuple[str, int, int, bool]  # of a file: content hash, width and height in pixels, whether it is grey
SHOWN = 10  # problems that a message lists


def index(root: Path, table: pd.DataFrame, label: str, stratify: tuple[str, ...], progress: Progress) -> pd.DataFrame:
    """Return the table with `id` (content hash), `label`, `stratum`, `width`, `height` and `grey` for each file.

    Raise UserError naming every file that is missing, outside the folder or no image, up to ten of them.
    """
    for problem in column_problems(root, table, label, stratify):
        raise UserError(problem)
    if "weight" in table and label != "weight":  # the same text for the same number: it is part of the digest
        table = table.assign(weight=[repr(float(text)) for text in table["weight"]])
    return assemble(table, _read_all(root, table["path"], progress), label, stratify)


def column_problems(
    root: Path, table: pd.DataFrame, label: str, stratify: tuple[str, ...], shown: int = 1
) -> Iterator[str]:
    """Yield what is wrong with the columns that are used, naming up to `shown` rows."""
    for column in (label, *stratify):
        if column not in table:
            yield f"{root}: there is no column {column!r}; there are {', '.join(map(str, table))}"
    if "group" in stratify:
        yield (
            f"{root}: prepare.stratify names the column group, whose images are never parted, so that no split can "
            "keep their shares; take it out of prepare.stratify, or give the column another name"
        )
    if "weight" in table and label != "weight" and (wrong := ~table["weight"].map(_is_weight)).any():
        rows = table[wrong][:shown]
        named = ", ".join(f"{path} ({weight!r})" for path, weight in zip(rows["path"], rows["weight"]))
        yield (
            f"{root}: expected each weight to be a number above 0, found {named} ({wrong.sum()} such rows); mend them, "
            "or give the column another name if it does not say how much an image is to count in training"
        )
    if label in table and (empty := table[label].str.strip() == "").any():
        yield f"{root}: no label for {', '.join(table['path'][empty][:shown])} ({empty.sum()} such rows)"


def _is_weight(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


class Contents:
    """The image files that the paths of a source name: files of a folder, or rows of arrays in it, read as files."""

    def __init__(self, root: Path) -> None:
        self.root, self._inside = root, root.resolve()
        self._arrays: dict[Path, Rows | None] = {}  # by the file that a path would lie in, were it a folder

    def __enter__(self) -> "Contents":
        return self

    def __exit__(self, *error: object) -> None:
        for rows in self._arrays.values():
            if rows is not None:
                rows.close()

    def read(self, path: str) -> bytes:
        """Return the bytes of an image file; raise ValueError saying why there are none."""
        file = self.root / path
        if not file.resolve().is_relative_to(self._inside):
            raise ValueError("leads out of the data folder")
        if file.parent not in self._arrays:
            self._arrays[file.parent] = Rows(file.parent) if file.parent.is_file() else None
        rows = self._arrays[file.parent]
        if rows is not None:
            if not file.name.isdecimal():
                raise ValueError(f"expected the number of a row, found {file.name!r}")
            return rows.read(int(file.name))
        try:
            data = file.read_bytes()
        except OSError as error:
            raise ValueError(error.strerror) from None
        if not data:
            raise ValueError("the file is empty")
        return data


def _read_all(root: Path, paths: Iterable[str], progress: Progress) -> Iterator[Facts]:
    """Yield the facts of each file; raise UserError after the last where some cannot be used."""
    failed, shown = 0, []
    with Contents(root) as contents:
        for path in paths:
            try:
                yield facts(contents.read(path))
            except ValueError as error:
                failed += 1
                if failed <= SHOWN:
                    shown.append(f"\n  {path}: {error}")
            progress(1)
    if failed:
        raise UserError(f"{root}: {failed} file(s) cannot be used; mend or remove them:{''.join(shown)}")


def facts(data: bytes) -> Facts:
    """Return what is known of an image file; raise ValueError where it is none."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
        grey = is_grey(data)
    except (OSError, Image.DecompressionBombError):
        raise ValueError("not a readable image") from None
    return hashlib.sha256(data).hexdigest()[:32], width, height, grey


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
    ours = ["label", "stratum", *made, *{"group", "weight"} & {label}]  # what is learned may be parted
    rest = table.drop(columns=ours, errors="ignore")
    return pd.concat([made, rest, pd.DataFrame({"label": table[label], "stratum": stratum})], axis=1)


def check_labels(manifest: pd.DataFrame, test_fraction: float, valid_fraction: float) -> None:
    """Raise UserError for the first of `label_problems`."""
    for problem in label_problems(manifest, test_fraction, valid_fraction):
        raise UserError(problem)


def label_problems(
    manifest: pd.DataFrame, test_fraction: float, valid_fraction: float, shown: int = 1
) -> Iterator[str]:
    """Yield what no split can mend: contradicting copies, one class alone, a class too small, a split that leaks.

    Of copies and groups on two sides, up to `shown` are named.
    """
    pairs = manifest[["id", "label"]].drop_duplicates()["id"]
    contradicting = pairs[pairs.duplicated()].drop_duplicates().sort_values()
    if len(contradicting):
        listed = "; ".join(_listed(manifest[manifest["id"] == name], "label") for name in contradicting[:shown])
        yield f"the same image has different labels: {listed}; {len(contradicting)} such image(s). Keep one."
    if "split" in manifest:
        yield from _leaks(manifest, shown)
    counts = manifest.drop_duplicates("id")["label"].value_counts()
    if len(counts) < 2:
        yield f"all images have the label {counts.index[0]!r}; a comparison needs two classes or more"
        return
    yield from _small(manifest, test_fraction, valid_fraction)


def _listed(rows: pd.DataFrame, column: str) -> str:
    return ", ".join(f"{path} ({value})" for path, value in rows[["path", column]].itertuples(index=False))


def _leaks(manifest: pd.DataFrame, shown: int) -> Iterator[str]:
    """Yield what is on both sides of the user's split: of test, and of train and valid, which are drawn anew."""
    side = manifest["split"] == "test"
    for column, what in (("id", "the same image"), ("group", "the same group")):
        if column not in manifest:
            continue
        both = manifest[column].isin(manifest.loc[side, column]) & manifest[column].isin(manifest.loc[~side, column])
        apart = manifest[both].assign(test=side[both]).drop_duplicates([column, "test"]).sort_values([column, "path"])
        names = apart[column].drop_duplicates()
        if len(names):
            listed = "; ".join(_listed(apart[apart[column] == name], "split") for name in names[:shown])
            yield (
                f"{what} is on both sides of your split: {listed}; {len(names)} such {what.split()[-1]}(s). Keep each "
                "on one side, or leave your split out: then images for test are drawn."
            )


def _small(manifest: pd.DataFrame, test_fraction: float, valid_fraction: float) -> Iterator[str]:
    """Yield the labels with fewer different images than each split takes one of."""
    given = "split" in manifest
    drawn = manifest[manifest["split"] != "test"] if given else manifest
    least = math.ceil(1 / (valid_fraction if given else min(test_fraction, (1 - test_fraction) * valid_fraction)))
    found = drawn.drop_duplicates("id")["label"].value_counts()
    counts = found.reindex(manifest["label"].unique(), fill_value=0)
    small = counts[counts < least].sort_values(ascending=False, kind="stable")
    if len(small):
        named = ", ".join(f"{label!r} ({count})" for label, count in small.items())
        what = "train and valid" if given else "train, valid and test"
        fractions = "" if given else f"test_fraction {test_fraction} and "
        yield (
            f"too few different images for {what}: {named}; with prepare.{fractions}valid_fraction {valid_fraction} "
            f"each label needs {least}. Add images or drop the label."
        )


def pack(root: Path, manifest: pd.DataFrame, out: Path, size: int, classes: list[str], grey: bool, max_pixels: int,
         progress: Progress) -> str:  # fmt: skip
    """Write images.npy (uint8), manifest.csv and about.json into a folder; return the digest of it all.

    Raise UserError naming a file that cannot be decoded.
    """
    channels = 1 if grey else 3
    columns = ["id", "label", "stratum", *(name for name in ("group", "weight") if name in manifest)]
    sha = hashlib.sha256(manifest[columns].to_csv(index=False).encode())
    with atomic(out / "images.npy") as temporary, Contents(root) as contents:
        array = np.lib.format.open_memmap(temporary, "w+", np.uint8, (len(manifest), size, size, channels))
        for position, path in enumerate(manifest["path"]):
            try:
                array[position] = decode(contents.read(path), size, channels, max_pixels)
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
