"""Small networks of every backbone and images for them, a stem that runs live, and how many stages a backbone has."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.config.backbone_table import BACKBONES, resolve
from pipeline.config.recipe import Recipe
from pipeline.inference.network import Network
from pipeline.network.architectures import nominal, on_meta
from pipeline.network.cut import describe, stages
from pipeline.network.devices import running
from pipeline.training.feature_pass import Pixels, _fits_half

every_backbone = pytest.mark.parametrize("backbone", sorted(BACKBONES))


def recipe(backbone: str, **wanted: Any) -> Recipe:
    plain = {"weights": "random", "cut": "input", "image_size": 32, "epochs": 1, "learning_rate": 0.001, "hidden": 8}
    return Recipe(**{**plain, "backbone": backbone, **wanted})


def spec(backbone: str, **wanted: Any) -> dict[str, Any]:
    return describe(recipe(backbone, **wanted), BACKBONES[backbone], ("a", "b", "c"), 40, 1, ("identity",))


def images(count: int = 3, channels: int = 1) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, channels, 40, 40), dtype=np.uint8))


class Live:
    """A stem run anew for each batch, as if there were no feature cache."""

    def __init__(self, stem: nn.Module, pixels: Pixels) -> None:
        self.stem, self.pixels, self.views = stem.eval(), pixels, pixels.views

    def take(self, rows: np.ndarray, views: np.ndarray) -> torch.Tensor:
        """Return float32 (N, ...), rounded as the cache would."""
        with torch.inference_mode(), running(torch.device("cpu"), "float32"):
            out = self.stem(self.pixels.take(rows, views))
        return (out.half() if out.ndim == 4 and _fits_half(out) else out).float().clone()


def count_stages(name: str, image_size: int | None = None) -> int:
    """Return how many stages a backbone has for images of that size; by default, of the one it was made for."""
    backbone = resolve(name)
    size = image_size or backbone.size or nominal(backbone.library, backbone.architecture)
    made = describe(recipe(name, image_size=size), backbone, ("a", "b"), size, 3, ("identity",))
    return len(stages(on_meta(lambda: Network(made)).to("meta"))) - 1
