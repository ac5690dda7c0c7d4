"""The network of a registered model: preprocessing, backbone and head, rebuilt from the spec in `model.json`.

Training builds its networks with these functions too, so that what is served is what was measured.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple

import timm
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

# (transpose, flip vertically, flip horizontally), applied in this order: the eight symmetries of a square.
_VIEWS = {
    "identity": (False, False, False),
    "hflip": (False, False, True),
    "vflip": (False, True, False),
    "rot180": (False, True, True),
    "transpose": (True, False, False),
    "rot90": (True, True, False),
    "rot270": (True, False, True),
    "antitranspose": (True, True, True),
}


def apply_view(images: torch.Tensor, view: str) -> torch.Tensor:
    """Transform images (..., S, S) to a view."""
    transpose, vertical, horizontal = _VIEWS[view]
    if transpose:
        images = images.transpose(-1, -2)
    flipped = [axis for axis, wanted in ((-2, vertical), (-1, horizontal)) if wanted]
    return images.flip(flipped) if flipped else images


class Preprocess(nn.Module):
    """Scale and normalise uint8 images (N, 1 or 3, H, W) to floats (N, 3, size, size)."""

    def __init__(self, size: int, mean: list[float], std: list[float], interpolation: str = "bilinear") -> None:
        super().__init__()
        self.size, self.interpolation = size, interpolation
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def extra_repr(self) -> str:
        """Show the size, so that networks for different sizes have different texts."""
        return f"size={self.size}" + ("" if self.interpolation == "bilinear" else f", {self.interpolation}")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return normalised images; floats in [0, 255] are accepted too, as augmented batches are."""
        x = images.to(self.mean.dtype).div(255)
        if x.shape[-1] != self.size:
            x = F.interpolate(x, size=(self.size, self.size), mode=self.interpolation, antialias=True)
            x = x.clamp(0, 1) if self.interpolation == "bicubic" else x  # bicubic scaling overshoots
        return (x.expand(-1, 3, -1, -1) - self.mean) / self.std


class Tap(NamedTuple):
    """A module of a backbone whose output, pooled, goes to the head beside the last stage's."""

    module: str  # its path in the backbone
    channels: int
    axis: int  # of the channels: 1 of maps (N, C, H, W), -1 of maps (N, H, W, C) and of tokens (N, T, C)


def pooled(x: torch.Tensor, axis: int) -> torch.Tensor:
    """Return mean and maximum over all positions: (N, 2 * channels)."""
    values = x.flatten(2) if axis == 1 else x.flatten(1, -2).transpose(1, 2)
    return torch.cat([values.mean(2), values.amax(2)], 1)


# Of the call that is running, in its own thread; None outside of `Network.forward`.
_TAPPED: ContextVar[list[torch.Tensor] | None] = ContextVar("tapped", default=None)


def _tap(axis: int) -> Callable[[nn.Module, Any, torch.Tensor], None]:
    def keep(module: nn.Module, args: Any, output: torch.Tensor) -> None:
        found = _TAPPED.get()
        if found is not None:
            found.append(pooled(output, axis))

    return keep


class Standardize(nn.Module):
    """Standardise features with fixed statistics: mean 0 and deviation 1 until they are measured."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("std", torch.ones(features))

    def measure(self, features: torch.Tensor, groups: Sequence[int] = ()) -> None:
        """Measure the statistics of features (N, D); `groups` are the widths of parts of a scale of their own.

        Deviations below half of their group's average are raised to that: otherwise a feature that is almost constant
        with a frozen backbone would explode once the backbone is trained.
        """
        std = features.std(0, correction=0)
        floors = [(0.5 * part.mean() + 1e-6).expand_as(part) for part in std.split(list(groups) or len(std))]
        self.mean.copy_(features.mean(0))
        self.std.copy_(std.maximum(torch.cat(floors)))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Standardise features (N, D)."""
        return (features - self.mean) / self.std


class Network(nn.Module):
    """Preprocessing, backbone and head: from uint8 images (N, C, H, W) to logits (N, classes)."""

    def __init__(self, spec: dict[str, Any]) -> None:
        super().__init__()
        self.spec = spec
        interpolation = spec.get("interpolation", "bilinear")
        self.preprocess = Preprocess(spec["image_size"], spec["mean"], spec["std"], interpolation)
        self.backbone, last = make_backbone(spec.get("library", "timm"), spec["architecture"], spec["options"])
        self.taps = [Tap(*tap) for tap in spec.get("taps", ())]
        for tap in self.taps:
            self.backbone.get_submodule(tap.module).register_forward_hook(_tap(tap.axis))
        self.groups = [*(tap.channels for tap in self.taps for _ in ("mean", "maximum")), last]  # widths of features
        self.features = sum(self.groups)
        self.head = make_head(spec["head"], self.features, spec["hidden"], len(spec["classes"]), spec["dropout"])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (N, classes)."""
        token = _TAPPED.set([])
        try:
            last = self.backbone(self.preprocess(images))
            return self.head(torch.cat([*(_TAPPED.get() or ()), last], 1) if self.taps else last)
        finally:
            _TAPPED.reset(token)


def make_backbone(library: str, architecture: str, options: dict[str, Any]) -> tuple[nn.Module, int]:
    """Build a network of `timm` or `torchvision` without its classifier; return it and its number of features."""
    if library == "timm":
        backbone = timm.create_model(architecture, num_classes=0, **options)
        return backbone, getattr(backbone, "head_hidden_size", None) or backbone.num_features
    if architecture in ("googlenet", "inception_v3"):
        options = {"init_weights": True, **options, "aux_logits": False}
    backbone = torchvision.models.get_model(architecture, weights=None, **options)
    return backbone, _behead(backbone)


def _behead(backbone: nn.Module) -> int:
    """Remove a torchvision network's classifier, its last linear layer; return the width of its input.

    SqueezeNet classifies with a convolution before pooling.
    """
    kinds = (nn.Conv2d,) if type(backbone).__name__ == "SqueezeNet" else (nn.Linear,)
    path, last = [(path, module) for path, module in backbone.named_modules() if isinstance(module, kinds)][-1]
    parent, _, name = path.rpartition(".")
    setattr(backbone.get_submodule(parent), name, nn.Identity())
    return last.in_channels if isinstance(last, nn.Conv2d) else last.in_features


def load_tensors(module: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    """Load all tensors of a module, saved with this version of the libraries; raise RuntimeError if they do not fit.

    Some modules need the version metadata that PyTorch's own files hold beside tensors.
    """
    state = OrderedDict(tensors)
    state._metadata = module.state_dict()._metadata  # type: ignore[attr-defined]
    module.load_state_dict(state)


def make_head(kind: str, features: int, hidden: int, classes: int, dropout: float) -> nn.Sequential:
    """Build a `linear` head, or an `mlp` head with a hidden layer, from features (N, D) to logits (N, classes).

    A `logistic` head is a linear one that was fitted otherwise.
    """
    if kind != "mlp":
        return nn.Sequential(Standardize(features), nn.Dropout(dropout), nn.Linear(features, classes))
    middle = (nn.Linear(features, hidden), nn.GELU(), nn.Dropout(dropout))
    return nn.Sequential(Standardize(features), *middle, nn.Linear(hidden, classes))
