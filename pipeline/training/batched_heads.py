"""Many heads in one go: heads of one shape, trained side by side on the same features."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.common.seeding import derive
from pipeline.config.recipe import Recipe
from pipeline.network.devices import AT_ONCE
from pipeline.training.loop import one_cycle
from pipeline.training.samples import Inputs, Samples, SampleWeights, one_view, steps_of_epoch

SHAPE = (
    "backbone",
    "weights",
    "image_size",
    "features",
    "head",
    "hidden",
    "epochs",
    "batch_size",
    "min_steps",
)  # equal within a stack
MOST = {"linear": 64, "mlp": 1024}  # linear heads, or hidden units, in a stack: more would leave the processor's cache


class HeadStack:
    """Train H heads at once, each as `Fit` would train it alone: same order of images, views and updates.

    A layer's weights of all heads lie in one tensor (H, outputs, inputs), so that a step is a few batched products
    whatever H is. Learning rate, decay, dropout, label smoothing and class weights are each head's own. Dropout draws
    the same random numbers for all heads. A head whose loss stops being a number does not disturb the others.
    """

    def __init__(self, heads: Sequence[nn.Sequential], recipes: Sequence[Recipe], seed: int, device: torch.device):
        """Take over the heads' weights; they share the statistics that the first one measured."""
        self.recipes, self.seed, self.device, self.done = recipes, seed, device, 0
        self.standardize = heads[0][0].to(device)
        linear = [[module for module in head if isinstance(module, nn.Linear)] for head in heads]
        pairs = [(torch.stack([m.weight.detach() for m in layer]), torch.stack([m.bias.detach() for m in layer]))
                 for layer in zip(*linear)]  # fmt: skip
        self.layers = [tensor.to(device).requires_grad_() for pair in pairs for tensor in pair]
        # The optimizer sees each head as parameters of its own: views of the stacked tensors.
        self.views = [[layer.detach()[i] for layer in self.layers] for i in range(len(recipes))]
        # It decays nothing: all heads' weights decay at once, which takes a fraction of two groups for each head.
        self.optimizer = torch.optim.AdamW([{"params": views} for views in self.views], weight_decay=0.0, fused=True)
        self._decay = self._column([recipe.learning_rate * recipe.weight_decay for recipe in recipes])
        self._keep = self._column([1 - recipe.dropout for recipe in recipes])
        self._smoothing = self._column([recipe.label_smoothing for recipe in recipes])[..., 0]

    def epoch(self, samples: Samples) -> list[float]:
        """Train for one more epoch; return each head's mean loss in nats, not finite where it diverged."""
        seed, first = derive("epoch", self.seed, self.done), self.recipes[0]
        generator = torch.Generator().manual_seed(seed)
        losses, weights = [], self._weights(samples)
        steps = list(steps_of_epoch(samples, first, seed))
        for step, (rows, views) in enumerate(steps):
            x = samples.inputs.take(rows, views).to(self.device)
            target = torch.from_numpy(samples.labels[rows]).to(self.device)
            counts = [each.of(rows) for each in weights] if weights else None
            loss = self._loss(self._logits(x, generator), target, counts)
            for layer in self.layers:
                layer.grad = None
            loss.sum().backward()
            for i, head in enumerate(self.views):
                for view, layer in zip(head, self.layers):
                    view.grad = layer.grad[i]  # type: ignore[index]
            self._step(one_cycle((self.done + step / len(steps)) / first.epochs))
            losses.append(loss.detach())
        self.done += 1
        means = [float(mean) for mean in torch.stack(losses).mean(0)]
        return [mean / each.mean(steps) for mean, each in zip(means, weights)] if weights else means

    def _weights(self, samples: Samples) -> list[SampleWeights] | None:
        """Return each head's weights; None where all images count alike for all heads."""
        if samples.weights is None and not any(recipe.class_weight_power for recipe in self.recipes):
            return None
        found = {
            class_weight_power: SampleWeights(samples, class_weight_power)
            for class_weight_power in {recipe.class_weight_power for recipe in self.recipes}
        }
        return [found[recipe.class_weight_power] for recipe in self.recipes]

    def predict(self, inputs: Inputs, rows: np.ndarray, views: int = 1) -> np.ndarray:
        """Return class probabilities, float64 (H, len(rows), classes): the mean over the first views."""
        found = []
        with torch.no_grad():
            for start in range(0, len(rows), AT_ONCE):
                part = rows[start : start + AT_ONCE]
                by_view = [one_view(inputs, part, view).to(self.device) for view in range(views)]
                found.append(sum(self._logits(x, None).double().softmax(2).cpu() for x in by_view) / views)
        return torch.cat(found, 1).numpy()

    def state(self, i: int) -> dict[str, Any]:
        """Return all that head `i` needs to go on in another stack, as plain tensors and numbers."""
        moments = [
            {name: value.clone() for name, value in self.optimizer.state[view].items()} for view in self.views[i]
        ]
        statistics = {name: tensor.clone() for name, tensor in self.standardize.state_dict().items()}
        weights = [view.clone() for view in self.views[i]]
        return {"weights": weights, "moments": moments, "statistics": statistics, "done": self.done}

    def restore(self, states: Sequence[dict[str, Any]]) -> None:
        """Go on from a state for each head, all of one epoch."""
        self.standardize.load_state_dict(states[0]["statistics"])
        self.done = states[0]["done"]
        for head, state in zip(self.views, states):
            for view, weights, moments in zip(head, state["weights"], state["moments"]):
                view.copy_(weights)
                self.optimizer.state[view] = dict(moments)

    def _logits(self, x: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        """Map (N, D) to (H, N, classes); with a generator, drop activations before the last layer."""
        x = self.standardize(x)
        for depth in range(0, len(self.layers), 2):
            weight, bias = self.layers[depth], self.layers[depth + 1]
            last = depth == len(self.layers) - 2
            if last and generator is not None and self._keep.min() < 1:
                draw = torch.rand(x.shape[-2:], generator=generator).to(self.device)
                mask = draw.new_empty((len(weight), *draw.shape))
                torch.lt(draw, self._keep, out=mask)  # straight to floats: many times faster than by way of booleans
                x = _product(x * mask if x.requires_grad else mask.mul_(x), weight) / self._keep + bias.unsqueeze(1)
            else:
                x = _product(x, weight) + bias.unsqueeze(1)
            x = x if last else F.gelu(x)
        return x

    def _loss(self, logits: torch.Tensor, target: torch.Tensor, weights: list[np.ndarray] | None) -> torch.Tensor:
        """Return each head's mean cross-entropy, smoothed as its recipe says and weighted, if at all: (H,)."""
        log = logits.log_softmax(2)
        named = -log.gather(2, target.expand(len(log), -1).unsqueeze(2)).squeeze(2)
        each = (1 - self._smoothing) * named - self._smoothing * log.mean(2)
        return (each if weights is None else each * torch.from_numpy(np.stack(weights)).to(self.device)).mean(1)

    def _step(self, share: float) -> None:
        """Update all heads at a share of their learning rates, as AdamW would: weights decay first, biases do not."""
        with torch.no_grad():
            for weights in self.layers[::2]:
                weights.mul_(1 - share * self._decay)
        for group, recipe in zip(self.optimizer.param_groups, self.recipes):
            group["lr"] = share * recipe.learning_rate
        self.optimizer.step()

    def _column(self, values: list[float]) -> torch.Tensor:
        return torch.tensor(values, device=self.device).view(-1, 1, 1)


def _product(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Map x, (N, D) for all heads or (H, N, D), by weights (H, outputs, D): (H, N, outputs)."""
    if x.ndim == 3:
        return torch.bmm(x, weight.transpose(1, 2))
    every = x @ weight.flatten(0, 1).T  # one product for all heads: several times faster than one for each
    return every.unflatten(1, weight.shape[:2]).transpose(0, 1)


def is_stackable(recipe: Recipe) -> bool:
    """Return whether a recipe is one of a head that `HeadStack` trains; any other is trained alone."""
    return (
        recipe.cut == "head" and recipe.head != "logistic" and not (recipe.mixup or recipe.gradient_clip or recipe.ema)
    )


def stacks(recipes: Sequence[Recipe]) -> list[list[int]]:
    """Group recipes into stacks of one shape; return their positions.

    The groups follow from the recipes alone: not from the machine, nor from how many processes share the work.
    """
    shapes: dict[tuple[Any, ...], list[int]] = {}
    for i, recipe in enumerate(recipes):
        shapes.setdefault(tuple(getattr(recipe, name) for name in SHAPE), []).append(i)
    found = []
    for members in shapes.values():
        first = recipes[members[0]]
        size = max(1, MOST[first.head] // (first.hidden if first.head == "mlp" else 1))
        found += [members[start : start + size] for start in range(0, len(members), size)]
    return found
