"""What the tools that are plain PyTorch share: image files as a data set, and predictions in batches."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.peers.tasks import Split

Transform = Callable[[Image.Image], torch.Tensor]
Predict = Callable[[Sequence[Path]], np.ndarray]  # from image files to probabilities, float (N, C)
OnEpoch = Callable[[int, int], None]  # an epoch has ended, of so many
AT_ONCE = 64


class Fitted(NamedTuple):
    """What a training leaves."""

    predict: Predict
    settings: dict[str, Any]  # the same for all seeds
    chosen: dict[str, Any]  # by looking at validation


class Files(Dataset):
    """Image files, decoded anew each time, with their labels."""

    def __init__(self, split: Split, transform: Transform) -> None:
        self.split, self.transform = split, transform

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        """Return an image, transformed, and its label."""
        with Image.open(self.split.paths[row]) as image:
            return self.transform(image.convert("RGB")), int(self.split.labels[row])


def batches(split: Split, transform: Transform, batch_size: int, seed: int | None = None) -> DataLoader[Any]:
    """Return batches; with a seed shuffled anew in each epoch, without the last one if it is not whole."""
    order = None if seed is None else torch.Generator().manual_seed(seed)
    return DataLoader(Files(split, transform), batch_size, shuffle=order is not None, generator=order,
                      drop_last=order is not None)  # fmt: skip


def probabilities(network: nn.Module, split: Split, transform: Transform) -> np.ndarray:
    """Return a network's probabilities, float64 (N, C)."""
    network.eval()
    with torch.inference_mode():
        found = [network(images).double().softmax(1) for images, _ in batches(split, transform, AT_ONCE)]
    return torch.cat(found).numpy()


def unlabelled(paths: Sequence[Path]) -> Split:
    """Return image files whose labels are not known."""
    return Split(tuple(paths), np.zeros(len(paths), dtype=np.int64))
