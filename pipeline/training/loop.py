"""Fit a body, and predict with it: neither knows whether its inputs are pixels or stored activations."""

import math
import sys
from contextlib import ExitStack, nullcontext
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from pipeline.common.errors import UserError
from pipeline.common.seeding import derive
from pipeline.config.recipe import Recipe
from pipeline.network.devices import Precision, images_at_once, on_device, running
from pipeline.training.augment import Transform
from pipeline.training.averaging import MovingAverage
from pipeline.training.batch import Batch, Goal
from pipeline.training.mixup import Mixer
from pipeline.training.ranks import ALONE, Ranks
from pipeline.training.samples import Inputs, Samples, first_view, one_view, steps_of_epoch
from pipeline.training.shared_batchnorm import SharedBatchNorm


class DivergedError(ArithmeticError):
    """The loss stopped being a finite number."""


class Fit:
    """A training in progress: it can stop after any epoch, be saved, and go on to the same result.

    AdamW (Loshchilov and Hutter 2019) on a one-cycle learning rate (Smith and Topin 2018). Weights decay; biases, and
    what a norm scales and shifts by, do not (He et al. 2019, arXiv 1812.01187). Order, views and dropout of an epoch
    depend on the seed and the epoch's number alone.

    Of several processes each takes a part of every batch, and the gradients are averaged (DistributedDataParallel), so
    that they learn what one would, up to rounding; but augmentation, mixup and dropout are each one's own draws. A
    batch of more than `micro_batch` images goes through the body in parts whose gradients add up.
    """

    def __init__(
        self,
        body: nn.Sequential,
        recipe: Recipe,
        seed: int,
        device: torch.device,
        precision: Precision = "float32",
        ranks: Ranks = ALONE,
        micro_batch: int | None = None,
    ) -> None:
        self.body, self.recipe, self.seed, self.device = body.to(device), recipe, seed, device
        self.precision, self.done, self._ranks = precision, 0, ranks
        self._most = micro_batch or sys.maxsize  # images at once
        self._shared: DistributedDataParallel | None = None  # from the first epoch on: then the weights are there
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
        own = self._ranks.seed(seed)
        generator = torch.Generator().manual_seed(own)
        torch.manual_seed(own)  # dropout
        mixer = Mixer(recipe.mixup, derive("mixup", own)) if recipe.mixup else None
        losses, weights = [], samples.weigh(recipe.class_weight_power)
        steps = list(steps_of_epoch(samples, recipe, seed))
        self._share(samples, min(len(rows) for rows, _ in steps))
        self._set_mode()
        if self._average:
            self._average.begin_epoch()
        for step, (rows, views) in enumerate(steps):
            self._set_rate(self.done + step / len(steps))
            part = self._ranks.part(len(rows))
            mine, share = rows[part], len(rows[part]) * self._ranks.size / len(rows)
            x = samples.inputs.take(mine, views[part])
            x = on_device(transform(x, generator) if transform else x, self.device)
            counts = torch.from_numpy(weights.of(mine)).to(self.device) if weights else None
            goal = Goal(torch.from_numpy(samples.labels[mine]).to(self.device), counts)
            batch = Batch(x, goal).mix(mixer.draw(len(mine)) if mixer else None)
            losses.append(self._step(batch, share, largest=-(-len(rows) // self._ranks.size)))
        if self._average:
            self._average.end_epoch()
        total = float(self._ranks.total(torch.stack(losses).mean()))
        mean = total / self._ranks.size / (weights.mean(steps) if weights else 1.0)
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

    def _share(self, samples: Samples, smallest: int) -> None:
        """Have all processes begin with the weights of the first; raise UserError if a batch is too small to share."""
        if self._ranks.size == 1 or self._shared:
            return
        if smallest < self._ranks.size:
            raise UserError(f"a batch of {smallest} images cannot be shared by {self._ranks.size} devices: raise the "
                            "batch_size of the strategy, or lower runtime.devices")  # fmt: skip
        self.body.eval()
        logits = self.body(on_device(first_view(samples.inputs, samples.rows[:1]), self.device))
        trained = [parameter for parameter in self.body.parameters() if parameter.requires_grad]
        found = torch.autograd.grad(logits.sum(), trained, allow_unused=True)
        self._shared = DistributedDataParallel(self.body, find_unused_parameters=any(each is None for each in found))

    def _step(self, batch: Batch, share: float, largest: int) -> torch.Tensor:
        """Learn from one batch, or a process's part of it that counts `share` times; return its loss times that.

        The `largest` of these parts decides for all into how many each is split again.
        """
        while (loss := self._gradients(batch, share, -(-largest // self._most))) is None:
            torch.cuda.empty_cache()
        if self.recipe.gradient_clip:
            nn.utils.clip_grad_norm_(self.body.parameters(), self.recipe.gradient_clip)
        self.optimizer.step()
        if self._average:
            self._average.update()
        return loss

    def _gradients(self, batch: Batch, share: float, count: int) -> torch.Tensor | None:
        """Set the gradients and return the loss; None where memory was short, and the next attempt is to need less."""
        self.optimizer.zero_grad(set_to_none=True)
        losses: list[torch.Tensor] = []
        try:
            for part in batch.parts(count):
                weight = share * len(part) / len(batch)
                losses.append(self._backward(part, weight, last=len(losses) + 1 == count))
        except torch.OutOfMemoryError:
            at_once = min(self._most, len(batch))
            if at_once == 1 or not self._is_separable:
                raise
            self._most = -(-at_once // 2)
            return None
        return torch.stack(losses).sum() if len(losses) > 1 else losses[0]

    def _backward(self, part: Batch, weight: float, last: bool) -> torch.Tensor:
        """Add a part's gradients to those of the batch, and with the last average them over all processes."""
        with ExitStack() as contexts:
            contexts.enter_context(SharedBatchNorm() if self._shared else nullcontext())
            contexts.enter_context(self._shared.no_sync() if self._shared and not last else nullcontext())
            with running(self.device, self.precision):
                logits = (self._shared or self.body)(part.x).float()
            loss = part.loss(logits, self.recipe.label_smoothing)
            loss = loss if weight == 1 else loss * weight
            loss.backward()
        return loss.detach()

    @property
    def _is_separable(self) -> bool:
        """Say whether a batch in parts gives the same gradients, and this process may decide on them alone."""
        norms = [module for module in self.body.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
        return self._ranks.size == 1 and not any(module.training for module in norms)

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
    ranks: Ranks = ALONE,
) -> np.ndarray:
    """Return class probabilities, float64 (len(rows), classes), in eval mode: the mean over the first views.

    Of several processes each predicts a part, and all return the whole. Raise DivergedError where they are not finite.
    """
    if len(rows) < ranks.size:
        ranks = ALONE
    body.to(device).eval()
    found, part = [], ranks.part(len(rows))
    with torch.inference_mode(), running(device, precision):
        at_once = images_at_once(body, on_device(first_view(inputs, rows[:1]), device))
        for start in range(part.start, part.stop, at_once):
            batch = rows[start : min(start + at_once, part.stop)]
            by_view = [one_view(inputs, batch, view) for view in range(views)]
            found.append(sum(body(on_device(x, device)).double().cpu().softmax(1) for x in by_view) / views)
    own = torch.cat(found)
    whole = own.new_zeros(len(rows), own.shape[1])
    whole[part] = own
    probabilities = ranks.total(whole).numpy()
    if not np.isfinite(probabilities).all():
        raise DivergedError("the network's predictions became nan")
    return probabilities
