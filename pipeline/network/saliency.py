"""Where a classifier looked: Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391) on the last stage of its backbone.

The score explained is the log odds of the predicted class, which, unlike its logit, says the same of a network whose
logits are all shifted by a constant.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.inference.classifier import Classifier
from pipeline.inference.network import Network, apply_view

BACK = {"rot90": "rot270", "rot270": "rot90"}  # what undoes a view, where it is not the view itself
WARM = np.array([255, 72, 0])
STRENGTH = 0.65  # of the colour where the map is 1


def saliency(classifier: Classifier, decoded: Sequence[np.ndarray]) -> np.ndarray:
    """Return maps (N, S, S) in [0, 1], high where the predicted class was seen, for images as `decoded` made them.

    It is the mean over the views that the classifier averages. A map is all 0 where the last stage holds nothing
    that speaks for the class.
    """
    images = torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2)
    said = classifier.classify(decoded).iloc[:, 2:].to_numpy().argmax(1)
    views = classifier.spec["views"]
    with torch.enable_grad():
        maps = sum(_of_view(classifier.network, images, torch.from_numpy(said), view) for view in views)
    assert isinstance(maps, Tensor)
    return (maps / maps.amax((1, 2), keepdim=True).clamp(min=1e-12)).numpy()


def _of_view(network: Network, images: Tensor, said: Tensor, view: str) -> Tensor:
    cams = _grad_cam(network, apply_view(images, view), said)
    sized = F.interpolate(cams[:, None], size=images.shape[-2:], mode="bilinear", align_corners=False)
    return apply_view(sized[:, 0], BACK.get(view, view))


def _grad_cam(network: Network, images: Tensor, said: Tensor) -> Tensor:
    """Return maps (N, h, w), at least 0, of the last stage's resolution."""
    with _last_maps(network.backbone) as found:
        odds = _log_odds(network(images).double(), said)
    if not found:  # the backbone keeps no positions
        return images.new_zeros(len(images), 1, 1, dtype=torch.float32)
    (gradient,) = torch.autograd.grad(odds.sum(), found[-1])
    maps, slopes = _channels_first(found[-1]).detach(), _channels_first(gradient)
    return (slopes.mean((2, 3), keepdim=True) * maps).sum(1).relu()


def _log_odds(logits: Tensor, said: Tensor) -> Tensor:
    own = logits.gather(1, said[:, None])[:, 0]
    others = logits.scatter(1, said[:, None], -math.inf)
    return own - others.logsumexp(1)


@contextmanager
def _last_maps(backbone: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the outputs of all modules that have positions, in the order in which they end, with gradients."""
    found: list[Tensor] = []

    def keep(module: nn.Module, args: object, output: object) -> Tensor | None:
        if not (isinstance(output, Tensor) and output.is_floating_point() and _positions(output) > 1):
            return None
        if not output.requires_grad:  # all weights before it are frozen
            output = output.requires_grad_()
        found.append(output)
        return output

    hooks = [module.register_forward_hook(keep) for name, module in backbone.named_modules() if name]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _positions(output: Tensor) -> int:
    if output.ndim == 4:
        return _channels_first(output)[0, 0].numel()
    return output.shape[1] if output.ndim == 3 else 0


def _channels_first(maps: Tensor) -> Tensor:
    """Return maps (N, C, h, w) of such, of maps (N, h, w, C), or of tokens (N, T, C) without those of no position."""
    if maps.ndim == 3:
        side = math.isqrt(maps.shape[1])
        maps = maps[:, -side * side :].unflatten(1, (side, side))
        return maps.permute(0, 3, 1, 2)
    return maps.permute(0, 3, 1, 2) if maps.shape[1] == maps.shape[2] != maps.shape[3] else maps


def overlay(image: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return an image, uint8 (S, S, C), in grey and in colour (S, S, 3) where its map (S, S) is high."""
    grey = image.mean(2, keepdims=True).repeat(3, 2)
    weight = STRENGTH * seen[..., None]
    return ((1 - weight) * grey + weight * WARM).round().astype(np.uint8)
