"""Small networks of every backbone in the table, and images for them."""

from typing import Any

import numpy as np
import pytest
import torch

from pipeline.config.backbone_table import BACKBONES
from pipeline.config.recipe import Recipe
from pipeline.network.cut import describe

every_backbone = pytest.mark.parametrize("backbone", sorted(BACKBONES))


def recipe(backbone: str, **wanted: Any) -> Recipe:
    plain = {"weights": "random", "cut": "input", "image_size": 32, "epochs": 1, "learning_rate": 0.001, "hidden": 8}
    return Recipe(**{**plain, "backbone": backbone, **wanted})


def spec(backbone: str, **wanted: Any) -> dict[str, Any]:
    return describe(recipe(backbone, **wanted), BACKBONES[backbone], ("a", "b", "c"), 40, 1, ("identity",))


def images(count: int = 3, channels: int = 1) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, channels, 40, 40), dtype=np.uint8))
