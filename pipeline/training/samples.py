"""What a training is fed: inputs with their labels and weights, and the batches of an epoch."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Protocol

import numpy as np
import torch

from pipeline.common.seeding import derive
from pipeline.config.recipe import Recipe
from pipeline.network.devices import AT_ONCE, fits


class Inputs(Protocol):
    """What a body is fed from."""

    views: int  # how many views of each image there are; 0 is the one scored

    def take(self, rows: np.ndarray, views: np.ndarray) -> torch.Tensor:
        """Return a float batch: image rows[i] as view views[i] shows it."""
        ...


def one_view(inputs: Inputs, rows: np.ndarray, view: int) -> torch.Tensor:
    """Return the images in these rows as one of the views shows them."""
    return inputs.take(rows, np.full(len(rows), view))


def first_view(inputs: Inputs, rows: np.ndarray) -> torch.Tensor:
    """Return the images in these rows as the first view, the unchanged one, shows them."""
    return one_view(inputs, rows, 0)


class Resident:
    """Inputs copied to a device once, so that no batch crosses over to it."""

    def __init__(self, inputs: Inputs, count: int, device: torch.device) -> None:
        """Copy all views of rows 0 to `count` - 1."""
        self.views, self.count, self.device = inputs.views, count, device
        parts = [
            one_view(inputs, rows, view).to(device)
            for view in range(self.views)
            for rows in np.split(np.arange(count), range(AT_ONCE, count, AT_ONCE))
        ]
        self.values = torch.cat(parts)

    def take(self, rows: np.ndarray, views: np.ndarray) -> torch.Tensor:
        """Return what the inputs would, on the device."""
        return self.values[torch.from_numpy(views * self.count + rows).to(self.device)]


def resident(inputs: Inputs, count: int, device: torch.device) -> Inputs:
    """Return the inputs of `count` images copied to a CUDA device, if they fit in half of its free memory."""
    one = first_view(inputs, np.arange(1))
    # Concatenation holds them twice for a moment.
    return Resident(inputs, count, device) if fits(2 * one.nbytes * count * inputs.views, device) else inputs


@dataclass(frozen=True)
class Samples:
    """Inputs with the labels and the rows to use."""

    inputs: Inputs
    labels: np.ndarray  # int64, of all rows of the inputs
    rows: np.ndarray  # positions used
    weights: np.ndarray | None = None  # float64, of all rows of the inputs, above 0; None where all count alike

    def weigh(self, class_weight_power: float) -> "SampleWeights | None":
        """Return what each image's loss counts, the classes balanced so far; None where all count alike."""
        return None if self.weights is None and not class_weight_power else SampleWeights(self, class_weight_power)


class SampleWeights:
    """What the loss of each image counts: 1 on average over the rows used.

    That is its own weight, times the total weight of its class ** -class_weight_power. It affects the loss alone, not
    what is measured of features, and no score.
    """

    def __init__(self, samples: Samples, class_weight_power: float) -> None:
        self._labels, self._own = samples.labels, samples.weights
        labels, own = samples.labels[samples.rows], None
        if samples.weights is not None:
            own = samples.weights[samples.rows]
            self._own, own = samples.weights / own.max(), own / own.max()  # so that no sum is too large
        totals = np.bincount(labels, own)
        factors = np.where(totals > 0, totals, 1.0) ** -class_weight_power
        self._factors = factors * (len(labels) / (factors * totals).sum())

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Return the weights of these rows, float32."""
        found = self._factors[self._labels[rows]]
        return (found if self._own is None else found * self._own[rows]).astype(np.float32)

    def mean(self, steps: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
        """Return the mean over batches (rows, views) of their mean weight: near 1, since their sizes differ by one."""
        return float(np.mean([self.of(rows).mean() for rows, _ in steps]))


def steps_of_epoch(samples: Samples, recipe: Recipe, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (rows, views) of each batch of an epoch: all rows once, or as often as the recipe's `min_steps` asks for.

    So few images change neither the number of epochs, nor rungs, nor how often validation images are looked at.
    """
    least = math.ceil(recipe.min_steps / recipe.epochs)
    passes = (batches(samples, recipe.batch_size, derive("pass", seed, n) if n else seed) for n in count())
    for number, one in enumerate(passes):
        found = list(one)
        yield from islice(found, least - number * len(found) if number else None)
        if (number + 1) * len(found) >= least:
            return


def images_an_epoch(images: int, recipe: Recipe) -> int:
    """Return how many images an epoch of `steps_of_epoch` goes through, each as often as it comes."""
    sizes = _batch_count(images, recipe.batch_size)
    return round(images * max(1.0, math.ceil(recipe.min_steps / recipe.epochs) / sizes))


def batches(samples: Samples, size: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (rows, views) of each batch: all rows in random order, over as few batches of `size` as hold them.

    Their sizes differ by one at most: a batch of a few would move the network as far as a full one. None is of one
    image, which BatchNorm cannot use, where there are more: in pairs, three of an odd number go together.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(samples.rows)
    views = rng.integers(0, samples.inputs.views, len(order))
    count = _batch_count(len(order), size)
    yield from zip(np.array_split(order, count), np.array_split(views, count))


def _batch_count(images: int, size: int) -> int:
    return max(1, min(math.ceil(images / size), images // 2))
