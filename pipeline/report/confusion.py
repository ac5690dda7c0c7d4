"""Confusion matrices for the page: as shares, as the most frequent mistakes, as a picture."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

MISTAKES = 12  # that are listed

Confusion = Sequence[Sequence[int]]  # counts by true class (rows) and predicted class


@dataclass(frozen=True)
class Mistake:
    """Images of one class that were predicted as another."""

    true: str
    predicted: str
    images: float  # mean over seeds
    share: float  # of the class


def shares(confusion: Confusion) -> np.ndarray:
    """Return a confusion matrix (true, predicted) with rows that sum to 1, or to 0 of a class without images."""
    counts = np.array(confusion, dtype=float)
    return counts / np.maximum(counts.sum(1, keepdims=True), 1)


def mistakes(confusion: Confusion, classes: Sequence[str], seeds: int) -> list[Mistake]:
    """Return the most frequent mistakes, the most frequent first."""
    counts, parts = np.array(confusion), shares(confusion)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:MISTAKES]
    return [
        Mistake(classes[i], classes[j], counts[i, j] / seeds, parts[i, j])
        for i, j in zip(*np.unravel_index(order, counts.shape))
        if counts[i, j]
    ]


def heat(confusion: Confusion) -> str:
    """Return a confusion matrix of many classes as a PNG's data URI: a pixel for each cell, opaque where many are."""
    parts = shares(confusion)
    pixels = np.zeros((*parts.shape, 4), np.uint8)
    pixels[..., :3] = (58, 143, 196)
    pixels[..., 3] = np.round(255 * np.sqrt(parts))  # the root, so that rare mistakes are seen
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
