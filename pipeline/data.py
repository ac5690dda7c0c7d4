"""Packed images on disk, and the splits drawn from them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedShuffleSplit

from pipeline.errors import UserError
from pipeline.records import read_json

IMAGES, MANIFEST, ABOUT = "images.npy", "manifest.csv", "about.json"


@dataclass(frozen=True)
class ImageSet:
    """Images of one split, memory-mapped; all fields have one entry per image, in one order."""

    images: np.ndarray  # uint8 (N, H, W, C), C 1 or 3
    labels: np.ndarray  # int64 (N,), indices into classes
    strata: np.ndarray  # str (N,): label and the columns stratified by
    ids: np.ndarray  # str (N,): content hashes of the files
    classes: tuple[str, ...]
    digest: str  # of everything above

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
    """Open what `prepare` wrote into a folder; images stay on disk until they are used."""
    about = read_json(folder / ABOUT)
    manifest = pd.read_csv(folder / MANIFEST, dtype=str, keep_default_na=False)
    index = {name: i for i, name in enumerate(about["classes"])}
    return ImageSet(
        images=np.load(folder / IMAGES, mmap_mode="r"),
        labels=manifest["label"].map(index).to_numpy(dtype=np.int64),
        strata=manifest["stratum"].to_numpy(dtype=str),
        ids=manifest["id"].to_numpy(dtype=str),
        classes=tuple(about["classes"]),
        digest=about["digest"],
    )


def stratified_split(ids: np.ndarray, strata: np.ndarray, held_out: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return positions (rest, held out), ascending, with a share of each stratum held out.

    `held_out` is that share, in (0, 1), or an int: the number of different images.

    Images of one id, that is of one content, stay on one side. Strata of a single content join the commonest
    stratum for the draw. Raise UserError where there are too few images to hold any out.
    """
    unique, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
    pools = _merge_single(strata[first])
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


def _merge_single(strata: np.ndarray) -> np.ndarray:
    names, inverse, counts = np.unique(strata, return_inverse=True, return_counts=True)
    target = np.where(counts < 2, counts.argmax(), np.arange(len(names)))
    return target[inverse]


def train_valid(images: ImageSet, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions (train, valid) that every strategy uses with this seed."""
    return stratified_split(images.ids, images.strata, fraction, seed)


def three_way(manifest: pd.DataFrame, test_fraction: float, valid_fraction: float, seed: int) -> np.ndarray:
    """Return `train`, `valid` or `test` for each row of a manifest; raise UserError where a label misses one."""
    ids, strata = manifest["id"].to_numpy(dtype=str), manifest["stratum"].to_numpy(dtype=str)
    rest, test = stratified_split(ids, strata, test_fraction, seed)
    _, valid = stratified_split(ids[rest], strata[rest], valid_fraction, seed)
    split = np.full(len(manifest), "train", dtype=object)
    split[test] = "test"
    split[rest[valid]] = "valid"
    counts = pd.crosstab(manifest["label"], split)
    for label, row in counts.iterrows():
        for name in ("train", "valid", "test"):
            if not row.get(name):
                raise UserError(
                    f"label {label!r} ({row.sum()} images) has none in the {name} split; "
                    "add images of it, or name fewer columns in prepare.stratify"
                )
    return split
