"""Hold out a share of images that come in groups, such as patients: a group stays on one side."""

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix, csr_matrix, hstack
from scipy.sparse.csgraph import connected_components

from pipeline.common.seeding import derive

MOVES = 100  # most groups that change sides, besides one per stratum, to come closer to the shares


def joined(contents: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the unit (0, 1, ...) of each content: groups that share a content are merged into one unit.

    `contents` (N,) holds numbers from 0 without gaps, `groups` (N,) any hashable values.
    """
    codes, names = pd.factorize(groups)
    count = int(contents.max()) + 1
    edges = np.ones(len(contents), bool), (contents, codes + count)
    size = count + len(names)
    _, found = connected_components(coo_matrix(edges, shape=(size, size)), directed=False)
    return pd.factorize(found[:count])[0]  # numbered in the order of contents, not of the names of groups


def merge_single(strata: np.ndarray) -> np.ndarray:
    """Number the strata (N,); those with a single member are merged into the commonest."""
    codes, names = pd.factorize(strata, sort=True)
    counts = np.bincount(codes)
    target = np.where(counts < 2, counts.argmax(), np.arange(len(names)))
    return target[codes]


def hold_out(units: np.ndarray, strata: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Choose the units to hold out (a mask over their numbers), so that about a share of each stratum is held out.

    `units` and `strata` (N,) are those of the contents. Units are drawn within the stratum that they are the largest
    part of; then units change sides one by one while that brings the shares closer, or a stratum to a side without it.
    """
    codes, _ = pd.factorize(strata, sort=True)
    counts = csr_matrix((np.ones(len(units)), (units, codes)))
    counts.sum_duplicates()
    sizes = np.asarray(counts.sum(1)).ravel()
    held = _drawn(merge_single(_mainly(counts)), sizes, share, seed)
    return _moved(csr_matrix(hstack([counts, csr_matrix(sizes[:, None])])), held, share)


def _mainly(counts: csr_matrix) -> np.ndarray:
    """Return, for each unit, the stratum of which it holds the largest part."""
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    part = counts.data / np.asarray(counts.sum(0)).ravel()[counts.indices]
    order = np.lexsort((-counts.indices, part, rows))
    return counts.indices[order[counts.indptr[1:] - 1]]


def _drawn(kinds: np.ndarray, sizes: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Draw units at random: of each kind, as many as come closest to the share (a mask)."""
    order = np.lexsort((np.random.default_rng(derive("groups", seed)).random(len(kinds)), kinds))
    total = np.bincount(kinds, sizes)
    before = np.cumsum(sizes[order]) - sizes[order] - (np.cumsum(total) - total)[kinds[order]]
    held = np.zeros(len(kinds), bool)
    held[order] = before + sizes[order] / 2 < share * total[kinds[order]]
    return held


def _moved(counts: csr_matrix, held: np.ndarray, share: float) -> np.ndarray:
    """Let units change sides while that reduces the distance to the shares of the strata and of all images."""
    totals = np.asarray(counts.sum(0)).ravel()
    weight, worst = 1 / totals, totals.sum() + 1  # a stratum that is missing on a side outweighs every distance
    square = counts.power(2) @ weight
    rows, columns = np.repeat(np.arange(len(held)), np.diff(counts.indptr)), counts.indices
    for _ in range(MOVES + counts.shape[1]):
        inside = counts.T @ held
        here, there = inside[columns], (totals - inside)[columns]
        leaves, joins = np.where(held[rows], here, there), np.where(held[rows], there, here)
        missing = np.bincount(rows, 1.0 * (leaves == counts.data) - (joins == 0), len(held))
        change = np.where(held, -2, 2) * (counts @ (weight * (inside - share * totals))) + square + worst * missing
        best = int(change.argmin())
        if change[best] > -1e-9:
            break
        held[best] = not held[best]
    return held
