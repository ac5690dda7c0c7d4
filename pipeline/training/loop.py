"""Fit a body, and predict with it: neither knows whether its inputs are pixels or stored activations."""

import math
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.common.seeding import derive
from pipeline.config.recipe import Recipe
from pipeline.network.devices import Precision, images_at_once, on_device, running
from pipeline.training.augment import Transform
from pipeline.training.averaging import MovingAverage
from pipeline.training.mixup import Mixed, Mixer
from pipeline.training.samples import Inputs, Samples, first_view, one_view, steps_of_epoch


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
            behind = len(body) - 1 - depth
            scale, parameters = recipe.layer_decay**behind if behind else recipe.head_rate, list(module.parameters())
            weights, others = [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim <= 1]
            groups += [{"params": weights, "scale": scale, "weight_decay": recipe.weight_decay},
                       {"params": others, "scale": scale, "weight_decay": 0.0}]  # fmt: skip
        self.optimizer = torch.optim.AdamW([group for group in groups if group["params"]], fused=True)
        self._average = MovingAverage(body, recipe.ema) if recipe.ema else None

    def epoch(self, samples: Samples, transform: Transform | None = None) -> float:
        """Train for one more epoch and return the mean loss in nats; raise DivergedError where it is not finite.

        With weights it is the weighted mean.
        """
        seed, recipe = derive("epoch", self.seed, self.done), self.recipe
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)  # dropout
        self._set_mode()
        mixer = Mixer(recipe.mixup, derive("mixup", seed)) if recipe.mixup else None
        losses, weights = [], samples.weigh(recipe.class_weight_power)
        steps = list(steps_of_epoch(samples, recipe, seed))
        if self._average:
            self._average.begin_epoch()
        for step, (rows, views) in enumerate(steps):
            self._set_rate(self.done + step / len(steps))
            x = samples.inputs.take(rows, views)
            x = transform(x, generator) if transform else x
            counts = torch.from_numpy(weights.of(rows)) if weights else None
            mixed = mixer.draw(len(rows)) if mixer else None
            losses.append(self._step(x, torch.from_numpy(samples.labels[rows]), counts, mixed))
        if self._average:
            self._average.end_epoch()
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

    def _step(
        self, x: torch.Tensor, target: torch.Tensor, weights: torch.Tensor | None, mixed: Mixed | None
    ) -> torch.Tensor:
        """Learn from one batch; return its loss."""
        x = on_device(x, self.device)
        with running(self.device, self.precision):
            logits = self.body(mixed.inputs(x) if mixed else x).float()
        loss = self._loss(logits, target.to(self.device), weights, mixed)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.recipe.gradient_clip:
            nn.utils.clip_grad_norm_(self.body.parameters(), self.recipe.gradient_clip)
        self.optimizer.step()
        if self._average:
            self._average.update()
        return loss.detach()

    def _loss(
        self, logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor | None, mixed: Mixed | None
    ) -> torch.Tensor:
        """Return a batch's mean loss; that of mixed images is as much their partner's as they are."""
        smoothing = self.recipe.label_smoothing
        if weights is None and mixed is None:
            return F.cross_entropy(logits, target, label_smoothing=smoothing)

        def weighed(target: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
            each = F.cross_entropy(logits, target, label_smoothing=smoothing, reduction="none")
            # Not divided by the batch's own weight: then its gradient would not be the whole's on average.
            return each if weights is None else each * weights.to(self.device)

        if mixed is None:
            return weighed(target, weights).mean()
        others = weighed(target[mixed.partner.to(self.device)], None if weights is None else weights[mixed.partner])
        return mixed.losses(weighed(target, weights), others).mean()

    def _set_rate(self, progress: float) -> None:
        rate = self.recipe.learning_rate * one_cycle(progress / self.recipe.epochs)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]

    def state(self) -> dict[str, Any]:
        """Return all that is needed to go on, as plain tensors and numbers."""
        average = {"average": self._average.state()} if self._average else {}
        return {"body": self.body.state_dict(), "optimizer": self.optimizer.state_dict(), "done": self.done, **average}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.body.load_state_dict(state["body"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.done = state["done"]
        if self._average:
            self._average.restore(state["average"])


def one_cycle(t: float) -> float:
    """Return the learning rate's share of its peak at t in [0, 1]: up a cosine for a quarter, then down."""
    warm = 0.25
    if t < warm:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * t / warm)) / 2
    return 1e-4 + (1 - 1e-4) * (1 + math.cos(math.pi * (t - warm) / (1 - warm))) / 2


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
            by_view = [one_view(inputs, batch, view) for view in range(views)]
            found.append(sum(body(on_device(x, device)).double().cpu().softmax(1) for x in by_view) / views)
    probabilities = torch.cat(found).numpy()
    if not np.isfinite(probabilities).all():
        raise DivergedError("the network's predictions became nan")
    return probabilities
