"""Images that look alike though their files differ: 64-bit perceptual hashes few bits apart.

Hashes are cut into four bands of 16 bits. Of two hashes at most d bits apart, some band k differs by at most t_k bits,
where the t_k sum up to d - 3 (the pigeonhole principle; Norouzi, Punjani and Fleet 2014, arXiv 1307.2982). So each hash
is compared with those in a few buckets instead of with all.
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
MOST = 50  # near duplicates per distinct hash, on average, above which hashes are taken to tell nothing apart


@dataclass(frozen=True)
class NearDuplicates:
    """Which of N images look alike."""

    codes: np.ndarray  # int64 (N,): the number of each image's hash among the distinct ones, -1 where it has none
    pairs: np.ndarray  # int64 (P, 2): numbers of distinct hashes within the distance

    @property
    def count(self) -> int:
        """Return the number of distinct hashes."""
        return int(self.codes.max(initial=-1)) + 1

    def components(self) -> np.ndarray:
        """Number the images (N,), from 0: the same number for images that a chain of near duplicates links."""
        edges = np.ones(len(self.pairs), bool), (self.pairs[:, 0], self.pairs[:, 1])
        _, found = connected_components(coo_matrix(edges, shape=(self.count, self.count)), directed=False)
        numbers = self.count + np.arange(len(self.codes))
        numbers[self.codes >= 0] = found[self.codes[self.codes >= 0]]
        return np.unique(numbers, return_inverse=True)[1]

    def without(self, rows: np.ndarray) -> "NearDuplicates":
        """Drop whole components, given as a mask over the images: these are near duplicates of none."""
        gone = np.zeros(self.count, bool)
        gone[self.codes[rows & (self.codes >= 0)]] = True
        return NearDuplicates(np.where(rows, NONE, self.codes), self.pairs[~gone[self.pairs].any(1)])

    def matches(self, marked: np.ndarray) -> np.ndarray:
        """Find, for each image outside of a mask (N,), a near duplicate inside of it; -1 where there is none.

        It is the first image with the same hash, or else the first with the lowest-numbered hash.
        """
        first = np.full(self.count, -1)  # marked image of each hash
        rows = np.flatnonzero(marked & (self.codes >= 0))[::-1]
        first[self.codes[rows]] = rows
        own = np.arange(self.count)
        here, there = (np.concatenate([own, *side]) for side in (self.pairs.T, self.pairs.T[::-1]))
        order = np.lexsort((there, here != there, here))[::-1]  # the preferred is written last
        order = order[first[there[order]] >= 0]
        found = np.full(self.count + 1, -1)  # the last one is for images without a hash
        found[here[order]] = first[there[order]]
        return np.where(marked, -1, found[self.codes])

    def conflicts(self, values: np.ndarray) -> list[tuple[int, int]]:
        """List pairs of near duplicates that differ in a value, ascending: one for every two values of two hashes.

        `values` (N,) are integers.
        """
        first: dict[int, dict[int, int]] = {}  # image, by hash, then by value
        for image, (code, value) in enumerate(zip(self.codes.tolist(), values.tolist())):
            if code >= 0:
                first.setdefault(code, {}).setdefault(value, image)
        within = (pair for images in first.values() for pair in combinations(images.values(), 2))
        across = (
            (one, other)
            for a, b in self.pairs.tolist()
            for value, one in first[a].items()
            for different, other in first[b].items()
            if value != different
        )
        return sorted({(min(pair), max(pair)) for each in (within, across) for pair in each})


def find(hashes: np.ndarray, distance: int) -> NearDuplicates | None:
    """Find the near duplicates among hashes, int64 (N,): those that differ in at most `distance` bits; -1 has none.

    Return None where so many are alike that the hash tells nothing apart.
    """
    known = hashes != NONE
    values, numbers = np.unique(hashes[known], return_inverse=True)
    codes = np.full(len(hashes), NONE)
    codes[known] = numbers
    found, count = [np.empty((0, 2), np.int64)], 0
    for pairs in _near(values.view(np.uint64), distance):
        found.append(pairs)
        count += len(pairs)
        if count > MOST * len(values):
            return None
    return NearDuplicates(codes, np.unique(np.concatenate(found), axis=0))


def _near(values: np.ndarray, distance: int) -> Iterator[np.ndarray]:
    """Yield pairs (P, 2) of distinct hashes, uint64, within the distance; a pair may come twice."""
    for band, radius in enumerate(_radii(distance)):
        keys = _band(values, band)
        order = np.argsort(keys, kind="stable")
        starts = np.searchsorted(keys[order], np.arange(2**BITS + 1))
        for mask in _masks(radius):
            for one, other in _candidates(keys ^ np.uint16(mask), order, starts):
                near = (one < other) & (np.bitwise_count(values[one] ^ values[other]) <= distance)
                yield np.stack([one[near], other[near]], 1)


def _radii(distance: int) -> list[int]:
    """Return for each band how many bits may differ in it; -1 where it need not be searched."""
    return [(distance + 1 + band) // BANDS - 1 for band in range(BANDS)]


def _band(values: np.ndarray, band: int) -> np.ndarray:
    """Return every fourth bit of the hashes, uint16: neighbouring bits are often equal, and go to different bands."""
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
