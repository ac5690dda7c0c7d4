"""The manifest, one row per image: build it from a source, check it, and pack it with the pixels of each split."""

import hashlib
import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.common.errors import UserError
from pipeline.common.files import atomic, write_json
from pipeline.data.image_facts import ImageFacts
from pipeline.data.scan import Progress, Squares

COLUMNS = ["id", "width", "height", "grey", "phash"]  # the facts of an image
SHOWN = 10  # problems that a message lists
NAMED = 3  # files that are named for each reason
LEAVE_OUT = "or leave them out (prepare.on_problem: exclude)"


def column_problems(root: Path, table: pd.DataFrame, label: str, stratify: tuple[str, ...]) -> Iterator[str]:
    """Yield the problems of the columns that are used."""
    for column in (label, *stratify):
        if column not in table:
            yield f"{root}: there is no column {column!r}; there are {', '.join(map(str, table))}"
    if "group" in stratify:
        yield (
            f"{root}: prepare.stratify names the column group, whose images stay in one split, so that no split can "
            "keep its share of each group; take it out of prepare.stratify, or give the column another name"
        )
    if "weight" in table and label != "weight" and (wrong := ~table["weight"].map(_is_weight)).any():
        path, weight = next(zip(table["path"][wrong], table["weight"][wrong]))
        yield (
            f"{root}: expected each weight to be a number above 0, found {path} ({weight!r}) ({wrong.sum()} such "
            "rows); correct them, or rename the column if it does not say how much an image counts in "
            "training"
        )


def _is_weight(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def unusable(root: Path, bad: Sequence[tuple[str, str]]) -> str:
    """Report the number of unusable files, and some of them for each reason; `bad` holds pairs of path and reason."""
    by_reason: dict[str, list[str]] = {}
    for path, why in bad:
        by_reason.setdefault(why, []).append(printed(path))
    lines = [f"{_some(paths)}: {why}" for why, paths in by_reason.items()]
    hidden = len(lines) > SHOWN or any(len(paths) > NAMED for paths in by_reason.values())
    more = ["`uv run headstart check` writes a list of all of them"] if hidden else []
    listed = "".join(f"\n  {line}" for line in [*lines[:SHOWN], *more])
    return f"{root}: {len(bad)} file(s) cannot be used; fix or remove them, {LEAVE_OUT}:{listed}"


def _some(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
    return ", ".join(paths[:NAMED]) + more


def printed(path: str) -> str:
    """Return a path as one line of printable text."""
    return path if path.isprintable() else repr(path)[1:-1]


def with_facts(table: pd.DataFrame, facts: pd.DataFrame, label: str, stratify: tuple[str, ...]) -> pd.DataFrame:
    """Add facts, one row per image, and the columns `label` and `stratum` to a source's table."""
    if "weight" in table and label != "weight":  # the same text for the same number: it is part of the digest
        table = table.assign(weight=[repr(float(text)) if _is_weight(text) else text for text in table["weight"]])
    stratum = table[label]
    for column in stratify:
        stratum = stratum + "/" + table[column]
    ours = ["label", "stratum", *facts, *{"group", "weight"} & {label}]  # a group that is learned groups nothing
    rest = table.drop(columns=ours, errors="ignore")
    return pd.concat([facts, rest, pd.DataFrame({"label": table[label], "stratum": stratum})], axis=1)


def facts_table(facts: Iterable[ImageFacts]) -> pd.DataFrame:
    """Collect facts in a table with the columns COLUMNS."""
    # A list of tuples would take five times the memory of these columns.
    ids: list[str] = []
    widths, heights, greys, hashes = array("q"), array("q"), bytearray(), array("q")
    for each in facts:
        ids.append(each.id)
        widths.append(each.width)
        heights.append(each.height)
        greys.append(each.grey)
        hashes.append(each.phash)
    sizes = {"width": np.frombuffer(widths, np.int64), "height": np.frombuffer(heights, np.int64)}
    rest = {"grey": np.frombuffer(greys, bool), "phash": np.frombuffer(hashes, np.int64)}
    return pd.DataFrame({"id": ids, **sizes, **rest})


def check_labels(manifest: pd.DataFrame, test_fraction: float, valid_fraction: float) -> None:
    """Raise UserError for copies with different labels, a single or a tiny class, or a split that leaks."""
    classes = class_problems(manifest, test_fraction, valid_fraction)
    for problem in chain(copy_problems(manifest), group_problems(manifest), classes):
        raise UserError(problem)


def class_problems(manifest: pd.DataFrame, test_fraction: float, valid_fraction: float) -> Iterator[str]:
    """Yield a problem if there is one class only, or if classes are too small."""
    counts = manifest.drop_duplicates("id")["label"].value_counts()
    if len(counts) < 2:
        yield f"all images have the label {counts.index[0]!r}; a comparison needs two classes or more"
        return
    yield from _small(manifest, test_fraction, valid_fraction)


def copy_problems(manifest: pd.DataFrame, shown: int = 1) -> Iterator[str]:
    """Yield copies of an image that have different labels, or are on both sides of the user's split."""
    pairs = manifest[["id", "label"]].drop_duplicates()["id"]
    contradicting = pairs[pairs.duplicated()].drop_duplicates().sort_values()
    if len(contradicting):
        named = "; ".join(listed(manifest[manifest["id"] == name], "label") for name in contradicting[:shown])
        yield f"the same image has different labels: {named}; {len(contradicting)} such image(s). Keep one."
    yield from _leaks(manifest, "id", "the same image", shown)


def group_problems(manifest: pd.DataFrame, shown: int = 1) -> Iterator[str]:
    """Yield groups that are on both sides of the user's split."""
    yield from _leaks(manifest, "group", "the same group", shown)


def listed(rows: pd.DataFrame, column: str) -> str:
    """List paths, each followed by its value in a column."""
    return ", ".join(f"{path} ({value})" for path, value in rows[["path", column]].itertuples(index=False))


def _leaks(manifest: pd.DataFrame, column: str, what: str, shown: int) -> Iterator[str]:
    """Yield what is both in the test part of the user's split and in the rest, from which train and valid are drawn."""
    if not {"split", column} <= set(manifest):
        return
    side = manifest["split"] == "test"
    both = manifest[column].isin(manifest.loc[side, column]) & manifest[column].isin(manifest.loc[~side, column])
    apart = manifest[both].assign(test=side[both]).drop_duplicates([column, "test"]).sort_values([column, "path"])
    names = apart[column].drop_duplicates()
    if len(names):
        named = "; ".join(listed(apart[apart[column] == name], "split") for name in names[:shown])
        yield (
            f"{what} is on both sides of your split: {named}; {len(names)} such {what.split()[-1]}(s). Keep each "
            "on one side, or leave your split out, and a test split is drawn."
        )


def _small(manifest: pd.DataFrame, test_fraction: float, valid_fraction: float) -> Iterator[str]:
    """Yield the labels with too few different images for every split to get one."""
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


def pack(manifest: pd.DataFrame, squares: Squares, rows: np.ndarray, out: Path, classes: list[str], grey: bool,
         progress: Progress) -> str:  # fmt: skip
    """Write images.npy (uint8), manifest.csv and about.json into a folder, and return a digest of all of it.

    `rows` (N,) are the places of the images among the squares.
    """
    channels = 1 if grey else 3
    columns = ["id", "label", "stratum", *(name for name in ("group", "weight") if name in manifest)]
    sha = hashlib.sha256(manifest[columns].to_csv(index=False).encode())
    with atomic(out / "images.npy") as temporary, temporary.open("wb") as file:
        shape = (len(manifest), squares.size, squares.size, channels)
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for row, plain in zip(rows.tolist(), manifest["grey"]):
            data = squares.take(row, plain, channels).tobytes()
            file.write(data)
            sha.update(data)
            progress(1)
    with atomic(out / "manifest.csv") as temporary:
        manifest.to_csv(temporary, index=False)
    digest = sha.hexdigest()[:16]
    write_json(out / "about.json", {"classes": classes, "digest": digest, "images": len(manifest)})
    return digest
