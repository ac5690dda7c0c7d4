"""Images that look alike though their files differ: 64-bit perceptual hashes few bits apart.

Hashes are cut into four bands of 16 bits. Of two hashes at most d bits apart, some band k differs by at most t_k bits
where the t_k sum up to d - 3 (the pigeonhole principle; Norouzi, Punjani and Fleet 2014, arXiv 1307.2982). So the
hashes of a few buckets are compared, and not all with all.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

NONE = -1  # the hash of an image that has none
BANDS, BITS = 4, 16
AT_ONCE = 2_000_000  # candidates compared at once: bounds memory
MOST = 50  # look-alikes for each different hash, on average, from which a distance is given up


@dataclass(frozen=True)
class Twins:
    """Which of N images look alike."""

    looks: np.ndarray  # int64 (N,): the number of each image's hash among the different ones, -1 where it has none
    pairs: np.ndarray  # int64 (P, 2): numbers of different hashes within the distance

    def units(self) -> np.ndarray:
        """Return numbers (N,), the same for images that look alike, or are joined by a chain of those that do."""
        return _joined(self.looks, self.pairs)

    def without(self, rows: np.ndarray) -> "Twins":
        """Return the same without whole units (mask over the images): these look like none."""
        gone = np.zeros(int(self.looks.max(initial=-1)) + 1, bool)
        gone[self.looks[rows & (self.looks >= 0)]] = True
        return Twins(np.where(rows, NONE, self.looks), self.pairs[~gone[self.pairs].any(1)])

    def beside(self, marked: np.ndarray) -> np.ndarray:
        """Return, for each image outside of a mask (N,), an image of the mask that looks like it; -1 where none does.

        It is the first of those with the same hash, else the first of the hash with the lowest number.
        """
        some = self._first(marked & (self.looks >= 0))
        found = some.copy()
        for here, there in (self.pairs.T, self.pairs.T[::-1]):
            order = np.argsort(-there, kind="stable")  # the lowest is written last
            order = order[(some[there[order]] >= 0) & (some[here[order]] < 0)]
            lower = (found[here[order]] < 0) | (self.looks[found[here[order]]] > there[order])
            found[here[order[lower]]] = some[there[order[lower]]]
        return np.where(marked | (self.looks < 0), -1, found[self.looks] if len(found) else -1)

    def disagreeing(self, values: np.ndarray) -> list[tuple[int, int]]:
        """Return pairs of images that look alike and differ in a value, ascending: one for each two values of a pair.

        `values` (N,) are integers.
        """
        first: dict[int, dict[int, int]] = {}  # by hash, then by value
        for image, (look, value) in enumerate(zip(self.looks.tolist(), values.tolist())):
            if look >= 0:
                first.setdefault(look, {}).setdefault(value, image)
        within = (pair for images in first.values() for pair in combinations(images.values(), 2))
        across = (
            (one, other)
            for a, b in self.pairs.tolist()
            for value, one in first[a].items()
            for different, other in first[b].items()
            if value != different
        )
        return sorted({(min(pair), max(pair)) for each in (within, across) for pair in each})

    def _first(self, marked: np.ndarray) -> np.ndarray:
        """Return the first marked image of each hash; -1 where there is none."""
        found = np.full(int(self.looks.max(initial=-1)) + 1, -1)
        rows = np.flatnonzero(marked)[::-1]
        found[self.looks[rows]] = rows
        return found


def find(hashes: np.ndarray, distance: int) -> Twins | None:
    """Return which images look alike: hashes int64 (N,) that differ in at most `distance` bits; -1 is like nothing.

    None where so many are alike that the hash tells nothing apart.
    """
    known = hashes != NONE
    values, numbers = np.unique(hashes[known], return_inverse=True)
    looks = np.full(len(hashes), -1)
    looks[known] = numbers
    found, count = [np.empty((0, 2), np.int64)], 0
    for pairs in _near(values.view(np.uint64), distance):
        found.append(pairs)
        count += len(pairs)
        if count > MOST * len(values):
            return None
    pairs = np.unique(np.concatenate(found), axis=0)
    return Twins(looks, pairs)


def _joined(looks: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    count = int(looks.max(initial=-1)) + 1
    edges = np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])
    _, units = connected_components(coo_matrix(edges, shape=(count, count)), directed=False)
    alone = looks < 0
    found = np.empty(len(looks), np.int64)
    found[~alone] = units[looks[~alone]]
    found[alone] = count + np.arange(alone.sum())
    return np.unique(found, return_inverse=True)[1]


def _near(values: np.ndarray, distance: int) -> Iterator[np.ndarray]:
    """Yield pairs (P, 2) of different hashes uint64 within the distance; a pair may come twice."""
    for band, radius in enumerate(_radii(distance)):
        keys = _band(values, band)
        order = np.argsort(keys, kind="stable")
        starts = np.searchsorted(keys[order], np.arange(2**BITS + 1))
        for mask in _masks(radius):
            for one, other in _candidates(keys ^ np.uint16(mask), order, starts):
                near = (one < other) & (np.bitwise_count(values[one] ^ values[other]) <= distance)
                yield np.stack([one[near], other[near]], 1)


def _radii(distance: int) -> list[int]:
    """Return for each band how many bits may differ in it; -1 where it need not be looked at."""
    return [(distance + 1 + band) // BANDS - 1 for band in range(BANDS)]


def _band(values: np.ndarray, band: int) -> np.ndarray:
    """Return every fourth bit of the hashes, uint16: neighbours, which are often equal, come into different bands."""
    found = np.zeros(len(values), np.uint16)
    for bit in range(BITS):
        found |= ((values >> np.uint64(BANDS * bit + band)) & np.uint64(1)).astype(np.uint16) << np.uint16(bit)
    return found


def _masks(radius: int) -> Iterator[int]:
    """Yield every number of 16 bits with at most so many of them set."""
    for size in range(radius + 1):
        for bits in combinations(range(BITS), size):
            yield sum(1 << bit for bit in bits)


def _candidates(keys: np.ndarray, order: np.ndarray, starts: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield each hash with those in the bucket of its key, a bounded number at once."""
    first, count = starts[keys], starts[keys.astype(np.int64) + 1] - starts[keys]
    some = np.flatnonzero(count)
    ends = np.cumsum(count[some])
    begin = 0
    while begin < len(some):
        done = ends[begin - 1] if begin else 0
        stop = max(begin + 1, int(np.searchsorted(ends, done + AT_ONCE, "right")))
        rows = some[begin:stop]
        one = np.repeat(rows, count[rows])
        within = np.arange(len(one)) - np.repeat(ends[begin:stop] - count[rows] - done, count[rows])
        yield one, order[first[one] + within]
        begin = stop
