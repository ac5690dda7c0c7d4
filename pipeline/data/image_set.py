"""Packed images on disk, and the splits drawn from them."""

import os
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedShuffleSplit

from pipeline.common.errors import UserError
from pipeline.common.files import read_json
from pipeline.common.seeding import derive
from pipeline.data import group_split

IMAGES, MANIFEST, ABOUT = "images.npy", "manifest.csv", "about.json"


class ImageMemmap(np.memmap):
    """An array on disk whose rows are read like files, so that they do not stay in memory.

    A mapping keeps every page that it has touched, in the end the whole file, and reads ahead beyond those.
    """

    _descriptor: int | None = None  # of a whole array; views, which NumPy gives this class too, start elsewhere

    def __getitem__(self, rows: Any) -> Any:
        """Return the rows of an index array as a copy, anything else as a view; both are plain arrays."""
        if self._descriptor is None or not _are_rows(rows, len(self)):
            return np.asarray(self)[rows]
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        size = found[:1].nbytes
        for row, target in zip(rows.tolist(), found):
            if os.preadv(self._descriptor, [target], self.offset + row * size) != size:
                raise UserError(f"{self.filename}: is shorter than when it was opened; run: uv run dvc repro")
        return found


def _are_rows(index: Any, count: int) -> bool:
    if not isinstance(index, np.ndarray) or index.ndim != 1 or index.dtype.kind not in "iu" or not len(index):
        return False
    return bool(index.min() >= 0 and index.max() < count)


def mapped(file: Path) -> ImageMemmap:
    """Open an array (N, ...) with two axes or more in a .npy file, read-only; raise UserError for a damaged file."""
    try:
        packed: ImageMemmap = np.load(file, mmap_mode="r", allow_pickle=False).view(ImageMemmap)
    except (OSError, EOFError, ValueError) as error:
        raise _damaged(file, f"not a whole array ({error})") from None
    assert packed.ndim > 1
    assert packed.flags.c_contiguous
    packed._descriptor = os.open(file, os.O_RDONLY)
    weakref.finalize(packed, os.close, packed._descriptor)
    return packed


def _damaged(file: Path, why: str) -> UserError:
    return UserError(f"{file}: {why}; delete it and run: uv run dvc repro")


@dataclass(frozen=True)
class ImageSet:
    """Images of one split, memory-mapped; all fields have one entry per image, in one order."""

    images: np.ndarray  # uint8 (N, H, W, C), C 1 or 3
    labels: np.ndarray  # int64 (N,), indices into classes
    strata: np.ndarray  # str or object (N,): label and the columns stratified by
    ids: np.ndarray  # str (N,): content hashes of the files
    classes: tuple[str, ...]
    digest: str  # of everything above and below
    groups: np.ndarray | None = None  # int64 (N,): images with the same number stay in one split; None without groups
    weights: np.ndarray | None = None  # float64 (N,): how much each counts in training; None where all count equally

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def size(self) -> int:
        """Return the side of the packed squares in pixels."""
        return int(self.images.shape[1])

    @property
    def channels(self) -> int:
        """Return 1 for grey images, 3 for RGB."""
        return int(self.images.shape[3])


def load(folder: Path) -> ImageSet:
    """Open a folder that `prepare` wrote; images stay on disk until they are used.

    Raise UserError where a file is missing or damaged.
    """
    about = read_json(folder / ABOUT)
    manifest, images = _manifest(folder / MANIFEST), mapped(folder / IMAGES)
    if not len(manifest) == len(images) == about["images"]:
        raise _damaged(folder / MANIFEST, f"{len(manifest)} rows for {len(images)} of {about['images']} images")
    index = {name: i for i, name in enumerate(about["classes"])}
    return ImageSet(
        images=images,
        labels=manifest["label"].map(index).to_numpy(dtype=np.int64),
        strata=_shared(manifest["stratum"]),
        ids=manifest["id"].to_numpy(dtype=str),
        classes=tuple(about["classes"]),
        digest=about["digest"],
        groups=_groups(manifest),
        weights=manifest["weight"].to_numpy(dtype=np.float64) if "weight" in manifest else None,
    )


def training_counts(folder: Path) -> dict[str, int]:
    """Return how many training images each class has in a folder that `prepare` wrote, by prepare's own split.

    Raise UserError where its table is damaged.
    """
    file = folder / MANIFEST
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False, usecols=["label", "split"])
    except (OSError, ValueError) as error:
        raise _damaged(file, f"not a readable table ({error})") from None
    return {str(name): int(count) for name, count in table["label"][table["split"] == "train"].value_counts().items()}


def _manifest(file: Path) -> pd.DataFrame:
    columns = {"id", "label", "stratum"}
    try:
        table = pd.read_csv(
            file, dtype=str, keep_default_na=False, usecols=(columns | {"group", "weight"}).__contains__
        )
    except (OSError, ValueError) as error:
        raise _damaged(file, f"not a readable table ({error})") from None
    if not columns <= set(table):
        raise _damaged(file, f"has no column {', '.join(sorted(columns - set(table)))}")
    return table


def _groups(manifest: pd.DataFrame) -> np.ndarray | None:
    return pd.factorize(manifest["group"])[0] if "group" in manifest else None


def _shared(texts: pd.Series) -> np.ndarray:
    """Return texts as an array in which equal ones are one object: they are few, and may be long."""
    codes, names = pd.factorize(texts)
    return np.array(names, dtype=object)[codes]


def stratified_split(
    ids: np.ndarray, strata: np.ndarray, held_out: float, seed: int, groups: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Split positions into (rest, held out), both ascending, with a share of each stratum held out.

    `held_out` is that share, in (0, 1), or an int: the number of different images. Images with the same id, that is
    the same content, stay on one side, and so do those of one group; then the shares are as close as whole groups
    allow. Strata with a single content are merged into the commonest one. Raise UserError where there are too few
    images to hold any out.
    """
    # As bytes, ids take a quarter of the memory and sort in the same order: they are ASCII.
    unique, first, inverse = np.unique(ids.astype(bytes), return_index=True, return_inverse=True)
    if groups is not None:
        mask = _held_groups(inverse, strata[first], groups, held_out, seed)[inverse]
        return np.flatnonzero(~mask), np.flatnonzero(mask)
    pools = group_split.merge_single(strata[first])
    try:
        splitter = StratifiedShuffleSplit(1, test_size=held_out, random_state=seed)
        _, held = next(splitter.split(np.zeros(len(unique)), pools))
    except ValueError as error:
        kinds = len(np.unique(pools))
        raise UserError(
            f"{len(unique)} different images in {kinds} strata are too few to hold out {held_out:g} of each: {error} "
            "Add images, drop columns from prepare.stratify, or change prepare.test_fraction or valid_fraction."
        ) from None
    mask = np.isin(inverse, held)
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def _held_groups(
    contents: np.ndarray, strata: np.ndarray, groups: np.ndarray, held_out: float, seed: int
) -> np.ndarray:
    """Return a mask over the contents."""
    units = group_split.joined(contents, groups)
    share = held_out / len(units) if isinstance(held_out, int) else held_out
    held = group_split.hold_out(units, strata, share, seed)
    if held.all() or not held.any():
        raise UserError(
            f"{len(held)} group(s) that share no image are too few to hold out {held_out:g} of their images; "
            "add groups, or drop the column group if its images may be in different splits"
        )
    return held[units]


def nested_subset(rows: np.ndarray, labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Draw a share of these positions, ascending; with the same seed, a smaller share is part of every larger one.

    Each class keeps its share up to rounding, and at least one image.
    """
    order = np.random.default_rng(derive("fraction", seed)).permutation(rows)
    early = np.empty(len(order))  # the place of an image within its class, in [0, 1)
    for label in np.unique(labels[rows]):
        members = np.flatnonzero(labels[order] == label)
        early[members] = np.arange(len(members)) / len(members)
    count = max(round(fraction * len(rows)), int((early == 0).sum()))
    return np.sort(order[np.argsort(early, kind="stable")[:count]])


def three_way(manifest: pd.DataFrame, test_fraction: float, valid_fraction: float, seed: int) -> np.ndarray:
    """Assign `train`, `valid` or `test` to each row of a manifest; raise UserError where a label is missing in one.

    If the manifest has a column `split`, its test images are kept, and train and valid are drawn from the others.
    """
    ids, strata, groups = manifest["id"].to_numpy(dtype=bytes), _shared(manifest["stratum"]), _groups(manifest)
    if "split" in manifest:
        mask = (manifest["split"] == "test").to_numpy()
        rest, test = np.flatnonzero(~mask), np.flatnonzero(mask)
    else:
        rest, test = stratified_split(ids, strata, test_fraction, seed, groups)
    within = None if groups is None else groups[rest]
    _, valid = stratified_split(ids[rest], strata[rest], valid_fraction, seed, within)
    split = np.full(len(manifest), "train", dtype=object)
    split[test] = "test"
    split[rest[valid]] = "valid"
    counts, grouped = pd.crosstab(manifest["label"], split), "" if groups is None else " of other groups"
    for label, row in counts.iterrows():
        for name in ("train", "valid", "test"):
            if not row.get(name):
                raise UserError(
                    f"label {label!r} ({row.sum()} images) has none in the {name} split; "
                    f"add images of it{grouped}, or name fewer columns in prepare.stratify"
                )
    return split
