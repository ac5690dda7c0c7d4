"""Which images each seed trains on, and which it validates on: seeds in a row validate on disjoint folds."""

import numpy as np

from pipeline.common.errors import UserError
from pipeline.data.image_set import ImageSet, stratified_split

_WHOLE = 1e-9
_UNEVEN = 0.5  # by which a fold may be larger or smaller than its share; images in groups do not part evenly


def train_valid(images: ImageSet, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw the positions (train, valid) that every strategy uses with this seed, both ascending.

    Seeds in a row (1 to 5 with a fraction of 0.2, then 6 to 10, ...) validate on disjoint folds, so that together they
    predict images that they were not trained on as often as there are images: cross-validation. Seed 0, with which
    recipes are searched, belongs to other folds. Where a class has too few images to be in every fold, or groups are
    too large to make even ones, each seed draws its own images instead, and two seeds may share some.

    Raise UserError where a class has no image in train or in valid.
    """
    count = max(int(1 / fraction + _WHOLE), 1)
    drawing, place = divmod(seed - 1, count)
    folds = _folds(images, fraction, count, drawing % 2**32)
    if folds is not None:
        held = np.isin(np.arange(len(images)), folds[place])
        return np.flatnonzero(~held), np.flatnonzero(held)
    parts = stratified_split(images.ids, images.strata, fraction, seed, images.groups)
    _check(images, parts, seed)
    return parts


def _folds(images: ImageSet, fraction: float, count: int, drawing: int) -> list[np.ndarray] | None:
    """Return disjoint folds of this share each; None where one is uneven, or a class is missing in it or outside."""
    left, found = np.arange(len(images)), []
    totals = np.bincount(images.labels, minlength=len(images.classes))
    for fold in range(count):
        share = fraction / (1 - fold * fraction)
        held = np.arange(len(left))  # the last fold, where nothing remains of it
        if share < 1 - _WHOLE:
            groups = None if images.groups is None else images.groups[left]
            try:
                _, held = stratified_split(images.ids[left], images.strata[left], share, drawing, groups)
            except UserError:
                return None
        found.append(left[held])
        left = np.delete(left, held)
        counts = np.bincount(images.labels[found[-1]], minlength=len(totals))
        uneven = abs(len(found[-1]) / (fraction * len(images)) - 1)
        if uneven > _UNEVEN or not ((counts > 0) & (counts < totals)).all():
            return None
    return found


def _check(images: ImageSet, parts: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    """Raise UserError where a class has no image in one of the parts."""
    grouped = "" if images.groups is None else " of other groups"
    for name, rows in zip(("train", "valid"), parts, strict=True):
        missing = np.flatnonzero(np.bincount(images.labels[rows], minlength=len(images.classes)) == 0)
        if len(missing):
            count = int((images.labels == missing[0]).sum())
            raise UserError(
                f"label {images.classes[missing[0]]!r} ({count} images outside of test) has none in the {name} "
                f"split of seed {seed}; add images of it{grouped}, name fewer columns in prepare.stratify, or change "
                "that seed (search.seed, train.seeds)"
            )
