"""The network of a registered model: preprocessing, backbone and head, rebuilt from the spec in `model.json`.

Training builds its networks with these functions too, so that what is served is what was measured.
"""

from collections import OrderedDict
from typing import Any

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


class Standardize(nn.Module):
    """Standardise features with fixed statistics: mean 0 and deviation 1 until they are measured."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("std", torch.ones(features))

    def measure(self, features: torch.Tensor) -> None:
        """Measure the statistics of features (N, D).

        Deviations below half of the average one are raised to that: otherwise a feature that is almost constant with a
        frozen backbone would explode once the backbone is trained.
        """
        std = features.std(0, correction=0)
        self.mean.copy_(features.mean(0))
        self.std.copy_(std.clamp_min(0.5 * std.mean() + 1e-6))

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
        self.backbone, self.features = make_backbone(spec.get("library", "timm"), spec["architecture"], spec["options"])
        self.head = make_head(spec["head"], self.features, spec["hidden"], len(spec["classes"]), spec["dropout"])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (N, classes)."""
        return self.head(self.backbone(self.preprocess(images)))


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
    """Build a `linear` head, or an `mlp` head with a hidden layer, from features (N, D) to logits (N, classes)."""
    if kind == "linear":
        return nn.Sequential(Standardize(features), nn.Dropout(dropout), nn.Linear(features, classes))
    middle = (nn.Linear(features, hidden), nn.GELU(), nn.Dropout(dropout))
    return nn.Sequential(Standardize(features), *middle, nn.Linear(hidden, classes))
