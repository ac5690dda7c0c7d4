"""Where a classifier saw its answer: Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391) on its backbone's last stage.

Slopes and maps are multiplied place by place (HiResCAM, Draelos and Carin 2020, arXiv 2011.08891): for a linear head on
pooled maps that is just what each place adds to the score. It is Grad-CAM where maps are averaged.

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

    It is the mean over the views that the classifier averages, and tells places apart: it is 0 where they add no more
    to the score than the average place does. A map that is 0 everywhere tells none apart.
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
    """Return maps (N, h, w) of the last stage's resolution: what each place adds to the score, above the average place.

    What a tapped stage gives the head directly is added to what the last one gives.
    """
    with _watched(network) as (tapped, others):
        odds = _log_odds(network(images).double(), said)
    slopes = torch.autograd.grad(odds.sum(), [*tapped, *others], allow_unused=True)
    found = [_added(maps, slope) for maps, slope in zip([*tapped, *others], slopes)]
    early, late = found[: len(tapped)], [each for each in found[len(tapped) :] if each.any()]
    if not late:  # the backbone keeps no positions
        return torch.zeros(len(images), 1, 1)
    grid = late[-1].shape[-2:]
    whole = late[-1] + sum(F.adaptive_avg_pool2d(each, grid) for each in early)
    return (whole - whole.mean((1, 2), keepdim=True)).relu()


def _added(maps: Tensor, slope: Tensor | None) -> Tensor:
    """Return what each place adds to the score (N, h, w), per share of the image: slope times value, over channels."""
    if slope is None:
        return maps.new_zeros(1, 1, 1)
    product = _channels_first(maps.detach() * slope).sum(1)
    return product * product[0].numel()


def _log_odds(logits: Tensor, said: Tensor) -> Tensor:
    own = logits.gather(1, said[:, None])[:, 0]
    others = logits.scatter(1, said[:, None], -math.inf)
    return own - others.logsumexp(1)


@contextmanager
def _watched(network: Network) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Collect, in a forward pass, what taps take, and the outputs of all modules that have positions.

    Behind a tap the gradient does not flow back: what later stages make of its maps is counted with the last one.
    """
    tapped, others, names = list[Tensor](), list[Tensor](), {tap.module for tap in network.taps}

    def leaf(module: nn.Module, args: object, output: Tensor) -> Tensor:
        tapped.append(output.detach().requires_grad_())
        return tapped[-1]

    def parted(module: nn.Module, args: object, output: Tensor) -> Tensor:
        return output.detach().clone()  # the next module may write into it

    def keep(module: nn.Module, args: object, output: object) -> None:
        if isinstance(output, Tensor) and output.requires_grad and _positions(output) > 1:
            others.append(output)

    hooks = []
    for name, module in network.backbone.named_modules():
        if name in names:
            hooks += [module.register_forward_hook(leaf, prepend=True), module.register_forward_hook(parted)]
        elif name:
            hooks.append(module.register_forward_hook(keep))
    try:
        yield tapped, others
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
