"""A tiny model, as stage train leaves it."""

from pathlib import Path

import torch

from pipeline.config.backbone_table import BACKBONES
from pipeline.config.recipe import Recipe
from pipeline.inference.network import Network
from pipeline.network.build import save_model
from pipeline.network.cut import describe


def tiny_model(folder: Path, seed: int = 0) -> Path:
    """Write a model of two classes, low and top, for colour images; return its folder."""
    recipe = Recipe(backbone="compact", weights="random", cut="input", image_size=32, epochs=1, learning_rate=0.1)
    spec = describe(recipe, BACKBONES["compact"], ("low", "top"), 24, 3, ("identity", "hflip"))
    torch.manual_seed(seed)
    save_model(Network(spec), spec, folder)
    return folder
