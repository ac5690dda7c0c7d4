"""The plain way to train, to compare with: every epoch decodes, augments and runs the whole network.

Stock PyTorch: frozen stages under `no_grad`, AdamW as it comes, no cache, no bulk, no rungs.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.config.recipe import Recipe
from pipeline.data.image_set import ImageSet
from pipeline.inference.decoding import decode
from pipeline.network import flops
from pipeline.network.build import build
from pipeline.network.cut import split
from pipeline.network.devices import AT_ONCE
from pipeline.training.augment import augmentation
from pipeline.training.feature_pass import Pixels
from pipeline.training.samples import Samples, batches, first_view


class Files(Pixels):
    """Pixels decoded from the image files anew for every batch."""

    def __init__(self, images: ImageSet, paths: list[Path], views: tuple[str, ...]) -> None:
        super().__init__(images.images, views)
        self._paths, self._size, self._channels = paths, images.size, images.channels

    def take(self, rows: np.ndarray, views: np.ndarray) -> torch.Tensor:
        """Return float (N, C, H, W) in [0, 255]."""
        decoded = [decode(self._paths[row].read_bytes(), self._size, self._channels) for row in rows]
        return Pixels(np.stack(decoded), self.names).take(np.arange(len(rows)), views)


class Plain:
    """A recipe's network, trained from pixels."""

    def __init__(self, recipe: Recipe, images: ImageSet, pixels: Pixels, seed: int = 0) -> None:
        self.recipe, self.images, self.pixels, self.seed = recipe, images, pixels, seed
        self.network = build(recipe, images, seed)
        self.stem, self.body = split(self.network, recipe.cut)
        self.stem.eval()
        self.optimizer = torch.optim.AdamW(self.body.parameters(), lr=recipe.learning_rate)

    def epoch(self, train: np.ndarray, valid: np.ndarray, number: int = 0) -> tuple[float, float]:
        """Train on some images and look at others; return the CPU-seconds of each."""
        start = time.process_time()
        self._set_mode()
        generator = torch.Generator().manual_seed(number)
        change = None if len(self.stem) else augmentation(self.recipe, pixels=True)
        for rows, views in batches(Samples(self.pixels, self.images.labels, train), self.recipe.batch_size, number):
            x = self.pixels.take(rows, views)
            x = change(x, generator) if change else x
            with torch.no_grad():
                x = self.stem(x)
            loss = F.cross_entropy(self.body(x), torch.from_numpy(self.images.labels[rows]))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        middle = time.process_time()
        self.body.eval()
        with torch.no_grad():
            for first in range(0, len(valid), AT_ONCE):
                rows = valid[first : first + AT_ONCE]
                self.body(self.stem(first_view(self.pixels, rows)))
        return middle - start, time.process_time() - middle

    def _set_mode(self) -> None:
        self.body.train()
        for module in self.body.modules() if self.recipe.batchnorm == "keep" else ():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


@dataclass(frozen=True)
class Price:
    """What one image costs the plain way: CPU-seconds and FLOPs, in training and in validation."""

    train_seconds: float
    valid_seconds: float
    train_flops: int
    valid_flops: int


def price(recipe: Recipe, images: ImageSet, pixels: Pixels, sample: int) -> Price:
    """Measure one image's price on a sample of so many; the quicker of two goes."""
    plain = Plain(recipe, images, pixels)
    train, valid = np.arange(sample), np.arange(sample, sample + sample // 2)
    goes = [plain.epoch(train, valid) for _ in range(2)]
    x = first_view(Pixels(images.images, ("identity",)), np.arange(1))
    with torch.no_grad():
        stem = flops.forward_flops(plain.stem, x) if len(plain.stem) else 0
        features = plain.stem(x)
    return Price(
        min(seconds for seconds, _ in goes) / len(train),
        min(seconds for _, seconds in goes) / len(valid),
        stem + flops.training_flops(plain.body, features),
        stem + flops.forward_flops(plain.body, features),
    )
