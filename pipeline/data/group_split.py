"""Hold out a share of images that come in groups, such as patients: a group is never parted."""

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix, csr_matrix, hstack
from scipy.sparse.csgraph import connected_components

from pipeline.common.seeding import derive

MOVES = 100  # groups that change sides at most, beside one for each stratum, to come nearer to the shares


def joined(contents: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the unit (0, 1, ...) of each content: groups that share a content are one unit.

    `contents` (N,) holds numbers from 0 without gaps, `groups` (N,) anything that can be told apart.
    """
    codes, names = pd.factorize(groups)
    count = int(contents.max()) + 1
    edges = np.ones(len(contents), bool), (contents, codes + count)
    size = count + len(names)
    _, found = connected_components(coo_matrix(edges, shape=(size, size)), directed=False)
    return pd.factorize(found[:count])[0]  # numbered as their contents are, whatever the groups are called


def merge_single(strata: np.ndarray) -> np.ndarray:
    """Return a number for each stratum, those of a single member having that of the commonest."""
    codes, names = pd.factorize(strata, sort=True)
    counts = np.bincount(codes)
    target = np.where(counts < 2, counts.argmax(), np.arange(len(names)))
    return target[codes]


def hold_out(units: np.ndarray, strata: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Return which units (mask over their numbers) are held out, so that about a share of each stratum is.

    `units` and `strata` (N,) are of the contents. Units are drawn within the stratum they stand for most; then those
    that bring the shares nearer, or a stratum to a side that has none of it, change sides one by one.
    """
    codes, _ = pd.factorize(strata, sort=True)
    counts = csr_matrix((np.ones(len(units)), (units, codes)))
    counts.sum_duplicates()
    sizes = np.asarray(counts.sum(1)).ravel()
    held = _drawn(merge_single(_mainly(counts)), sizes, share, seed)
    return _moved(csr_matrix(hstack([counts, csr_matrix(sizes[:, None])])), held, share)


def _mainly(counts: csr_matrix) -> np.ndarray:
    """Return the stratum of which each unit holds the largest part."""
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    part = counts.data / np.asarray(counts.sum(0)).ravel()[counts.indices]
    order = np.lexsort((-counts.indices, part, rows))
    return counts.indices[order[counts.indptr[1:] - 1]]


def _drawn(kinds: np.ndarray, sizes: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Return a mask of units: of each kind as many, in random order, as come nearest to the share."""
    order = np.lexsort((np.random.default_rng(derive("groups", seed)).random(len(kinds)), kinds))
    total = np.bincount(kinds, sizes)
    before = np.cumsum(sizes[order]) - sizes[order] - (np.cumsum(total) - total)[kinds[order]]
    held = np.zeros(len(kinds), bool)
    held[order] = before + sizes[order] / 2 < share * total[kinds[order]]
    return held


def _moved(counts: csr_matrix, held: np.ndarray, share: float) -> np.ndarray:
    """Let units change sides while that lessens the distance to the shares (units, strata and the sum of them)."""
    totals = np.asarray(counts.sum(0)).ravel()
    weight, worst = 1 / totals, totals.sum() + 1  # a stratum that misses a side outweighs every distance
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
