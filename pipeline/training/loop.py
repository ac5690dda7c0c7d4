"""Fit a body, and predict with it: neither knows whether its inputs are pixels or stored activations."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.common.seeding import derive
from pipeline.config.recipe import Recipe
from pipeline.network.devices import AT_ONCE, Precision, fits, images_at_once, on_device, running


class Inputs(Protocol):
    """What a body is fed from."""

    views: int  # how many views of each image there are; 0 is the one scored

    def take(self, rows: np.ndarray, views: np.ndarray) -> torch.Tensor:
        """Return a float batch: image rows[i] as view views[i] shows it."""
        ...


def first_view(inputs: Inputs, rows: np.ndarray) -> torch.Tensor:
    """Return the images in these rows as the first view, the unchanged one, shows them."""
    return inputs.take(rows, np.zeros(len(rows), dtype=np.int64))


class Resident:
    """Inputs copied to a device once, so that no batch crosses over to it."""

    def __init__(self, inputs: Inputs, count: int, device: torch.device) -> None:
        """Copy all views of rows 0 to `count` - 1."""
        self.views, self.count, self.device = inputs.views, count, device
        parts = [
            inputs.take(rows, np.full(len(rows), view)).to(device)
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


Transform = Callable[[torch.Tensor, torch.Generator], torch.Tensor]


class DivergedError(ArithmeticError):
    """The loss stopped being a finite number."""


class Fit:
    """A training in progress: it can stop after any epoch, be saved, and go on to the same result.

    AdamW (Loshchilov and Hutter 2019) on a one-cycle learning rate (Smith and Topin 2018). Weights decay; biases, and
    what a norm scales and shifts by, do not (He et al. 2019, arXiv 1812.01187). Order, views and dropout of an epoch
    depend on the seed and the epoch's number alone.
    """

    def __init__(
        self, body: nn.Sequential, recipe: Recipe, seed: int, device: torch.device, precision: Precision = "float32"
    ) -> None:
        self.body, self.recipe, self.seed, self.device = body.to(device), recipe, seed, device
        self.precision, self.done = precision, 0
        groups = []
        for depth, module in enumerate(body):
            scale, parameters = recipe.layer_decay ** (len(body) - 1 - depth), list(module.parameters())
            weights, others = [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim <= 1]
            groups += [{"params": weights, "scale": scale, "weight_decay": recipe.weight_decay},
                       {"params": others, "scale": scale, "weight_decay": 0.0}]  # fmt: skip
        self.optimizer = torch.optim.AdamW([group for group in groups if group["params"]], fused=True)

    def epoch(self, samples: Samples, transform: Transform | None = None) -> float:
        """Train for one more epoch and return the mean loss in nats; raise DivergedError where it is not finite.

        With weights it is the weighted mean.
        """
        seed = derive("epoch", self.seed, self.done)
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)  # dropout
        self._set_mode()
        losses, weights = [], samples.weigh(self.recipe.class_weight_power)
        steps = list(batches(samples, self.recipe.batch_size, seed))
        for step, (rows, views) in enumerate(steps):
            self._set_rate(self.done + step / len(steps))
            x = samples.inputs.take(rows, views)
            x = transform(x, generator) if transform else x
            counts = torch.from_numpy(weights.of(rows)) if weights else None
            losses.append(self._step(x, torch.from_numpy(samples.labels[rows]), counts))
        mean = float(torch.stack(losses).mean()) / (weights.mean(steps) if weights else 1.0)
        if not math.isfinite(mean):
            raise DivergedError(f"the training loss became {mean} in epoch {self.done + 1}")
        self.done += 1
        return mean

    def _set_mode(self) -> None:
        """Train, but keep the statistics of the source where the recipe says so."""
        self.body.train()
        for module in self.body.modules() if self.recipe.batchnorm == "keep" else ():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()

    def _step(self, x: torch.Tensor, target: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
        """Learn from one batch; return its loss."""
        with running(self.device, self.precision):
            logits = self.body(on_device(x, self.device)).float()
        target, smoothing = target.to(self.device), self.recipe.label_smoothing
        if weights is None:
            loss = F.cross_entropy(logits, target, label_smoothing=smoothing)
        else:
            each = F.cross_entropy(logits, target, label_smoothing=smoothing, reduction="none")
            # Not divided by the batch's own weight: then its gradient would not be the whole's on average.
            loss = (each * weights.to(self.device)).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def _set_rate(self, progress: float) -> None:
        rate = self.recipe.learning_rate * one_cycle(progress / self.recipe.epochs)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]

    def state(self) -> dict[str, Any]:
        """Return all that is needed to go on, as plain tensors and numbers."""
        return {"body": self.body.state_dict(), "optimizer": self.optimizer.state_dict(), "done": self.done}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.body.load_state_dict(state["body"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.done = state["done"]


def one_cycle(t: float) -> float:
    """Return the learning rate's share of its peak at t in [0, 1]: up a cosine for a quarter, then down."""
    warm = 0.25
    if t < warm:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * t / warm)) / 2
    return 1e-4 + (1 - 1e-4) * (1 + math.cos(math.pi * (t - warm) / (1 - warm))) / 2


def batches(samples: Samples, size: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (rows, views) of each batch: all rows in random order, over as few batches of `size` as hold them.

    Their sizes differ by one at most: a batch of a few would move the network as far as a full one. None is of one
    image, which BatchNorm cannot use, where there are more: in pairs, three of an odd number go together.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(samples.rows)
    views = rng.integers(0, samples.inputs.views, len(order))
    count = max(1, min(math.ceil(len(order) / size), len(order) // 2))
    yield from zip(np.array_split(order, count), np.array_split(views, count))


def predict(
    body: nn.Module,
    inputs: Inputs,
    rows: np.ndarray,
    device: torch.device,
    views: int = 1,
    precision: Precision = "float32",
) -> np.ndarray:
    """Return class probabilities, float64 (len(rows), classes), in eval mode: the mean over the first views.

    Raise DivergedError where they are not finite.
    """
    body.to(device).eval()
    found = []
    with torch.inference_mode(), running(device, precision):
        at_once = images_at_once(body, on_device(first_view(inputs, rows[:1]), device))
        for start in range(0, len(rows), at_once):
            batch = rows[start : start + at_once]
            by_view = [inputs.take(batch, np.full(len(batch), view)) for view in range(views)]
            found.append(sum(body(on_device(x, device)).double().cpu().softmax(1) for x in by_view) / views)
    probabilities = torch.cat(found).numpy()
    if not np.isfinite(probabilities).all():
        raise DivergedError("the network's predictions became nan")
    return probabilities
