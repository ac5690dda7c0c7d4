"""A task made by code alone: surfaces by kind, under any scale, turn, bend and pair of colours."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.zoo.canvas import colour
from benchmarks.zoo.folder import Picture
from pipeline.common.seeding import derive

SIDE, EACH = 64, 100  # pixels of a side, surfaces of a kind
Kind = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]


def textures(packages: Path) -> Iterator[Picture]:
    """Yield surfaces by kind."""
    for name, kind in KINDS.items():
        rng = np.random.default_rng(derive("textures", name))
        for _ in range(EACH):
            yield Picture(_surface(kind, rng), name)


def _surface(kind: Kind, rng: np.random.Generator) -> np.ndarray:
    """Return (SIDE, SIDE, 3): heights of 0 to 1 of a kind, between two colours, with noise."""
    size = 2 * SIDE
    angle, scale = rng.uniform(0, 6.2832), rng.uniform(0.6, 1.6) / 16
    down, right = np.mgrid[:size, :size] + 0.37
    down = down + rng.uniform(0, 12) * (_clouds(size, 3, rng) - 0.5)
    right = right + rng.uniform(0, 12) * (_clouds(size, 3, rng) - 0.5)
    x = scale * (right * np.cos(angle) + down * np.sin(angle)) + rng.uniform(0, 99)
    y = scale * (down * np.cos(angle) - right * np.sin(angle)) + rng.uniform(0, 99)
    height = kind(x, y, rng).astype(np.float64)
    low, high = np.percentile(height, [2, 98])
    height = ((height - low) / max(high - low, 1e-6)).clip(0, 1)[..., None]
    one, other = np.array(colour(rng)), np.array(colour(rng))
    while np.abs(one - other).sum() < 120:
        other = np.array(colour(rng))
    wide = (one + height * (other - one)).clip(0, 255).astype(np.uint8)
    small = np.asarray(Image.fromarray(wide).resize((SIDE, SIDE), Image.Resampling.BOX)).astype(np.int64)
    strength = int(rng.integers(4, 20))
    return (small + rng.integers(-strength, strength + 1, small.shape)).clip(0, 255).astype(np.uint8)


def _clouds(size: int, points: int, rng: np.random.Generator) -> np.ndarray:
    """Return (size, size): random values on a coarse grid, smoothly joined."""
    coarse = Image.fromarray(rng.random((points + 1, points + 1)).astype(np.float32))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC)).astype(np.float64)


def _octaves(size: int, rng: np.random.Generator, first: int) -> np.ndarray:
    return np.sum([_clouds(size, first << step, rng) / 2**step for step in range(4)], axis=0)


def _random(i: np.ndarray, j: np.ndarray, salt: int) -> np.ndarray:
    """Return a fixed random number of [0, 1) for every square of a lattice."""
    mixed = (i.astype(np.int64) * 374761393 + j.astype(np.int64) * 668265263 + salt * 2147483647) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 13)) * 1274126177) & 0xFFFFFFFF
    return (mixed ^ (mixed >> 16)) / 2**32


def _nearest(x: np.ndarray, y: np.ndarray, rng: np.random.Generator, jitter: float) -> np.ndarray:
    """Return (2, H, W): distances to the nearest and the second nearest of points strewn on a lattice."""
    salt = int(rng.integers(1000))
    i, j = np.floor(x), np.floor(y)
    found = []
    for a in (-1, 0, 1):
        for b in (-1, 0, 1):
            px = i + a + 0.5 + jitter * (_random(i + a, j + b, salt) - 0.5)
            py = j + b + 0.5 + jitter * (_random(i + a, j + b, salt + 7) - 0.5)
            found.append(np.sqrt((x - px) ** 2 + (y - py) ** 2))
    return np.sort(found, axis=0)[:2]


def _cells(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _nearest(x, y, rng, 1.0)[0]


def _cracks(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    near, second = _nearest(x, y, rng, 1.0)
    return np.minimum(second - near, rng.uniform(0.08, 0.2))


def _spots(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _nearest(x, y, rng, 1.0)[0] < rng.uniform(0.2, 0.4)


def _lattice(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _nearest(x, y, rng, 0.0)[0] < rng.uniform(0.2, 0.4)


def _stones(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a random shade for each region of points that have one nearest of them."""
    salt, best, shade = int(rng.integers(1000)), np.full(x.shape, np.inf), np.zeros(x.shape)
    i, j = np.floor(x), np.floor(y)
    for a in (-1, 0, 1):
        for b in (-1, 0, 1):
            px, py = i + a + _random(i + a, j + b, salt), j + b + _random(i + a, j + b, salt + 7)
            distance = (x - px) ** 2 + (y - py) ** 2
            shade = np.where(distance < best, _random(i + a, j + b, salt + 13), shade)
            best = np.minimum(best, distance)
    return shade


def _fog(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _octaves(len(x), rng, int(rng.integers(3, 8)))


def _marble(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.sin(2.5 * x + rng.uniform(5, 10) * _octaves(len(x), rng, 4))


def _wood(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    far = np.sqrt((x - x.mean() + 5) ** 2 + (0.2 * (y - y.mean())) ** 2)
    return (far * rng.uniform(0.8, 1.6) + 0.25 * _octaves(len(x), rng, 2)) % 1.0


def _stripes(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (x * rng.uniform(0.8, 1.6)) % 1.0 < rng.uniform(0.3, 0.7)


def _checks(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (np.floor(x) + np.floor(y)) % 2


def _bricks(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    row, gap = np.floor(y * 1.3), rng.uniform(0.06, 0.15)
    along = x * 0.65 + row / 2
    joint = (along % 1.0 < gap / 2) | ((y * 1.3) % 1.0 < gap)
    return np.where(joint, 0.0, 0.6 + 0.4 * _random(np.floor(along), row, int(rng.integers(1000))))


def _weave(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    over = (np.floor(x) + np.floor(y)) % 2
    bow_x, bow_y = np.sin(3.14159 * (x % 1.0)), np.sin(3.14159 * (y % 1.0))
    return np.where(over == 1, bow_x * (0.6 + 0.4 * bow_y), bow_y * (0.6 + 0.4 * bow_x))


KINDS: dict[str, Kind] = {
    "bricks": _bricks,
    "cells": _cells,
    "checks": _checks,
    "cracks": _cracks,
    "fog": _fog,
    "lattice": _lattice,
    "marble": _marble,
    "spots": _spots,
    "stones": _stones,
    "stripes": _stripes,
    "weave": _weave,
    "wood": _wood,
}
