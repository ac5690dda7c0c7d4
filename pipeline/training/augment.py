"""Random changes of training images, each image its own; cached feature maps can only be shifted."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from pipeline.config.recipe import Recipe
from pipeline.network.taps import Carry

Transform = Callable[[torch.Tensor, torch.Generator], torch.Tensor]

ASPECT = (3 / 4, 4 / 3)  # of a random-resized crop
ERASED_AREA, ERASED_ASPECT = (0.02, 0.33), (0.3, 3.3)  # of random erasing


def augmentation(recipe: Recipe, pixels: bool, first: nn.Module | None = None) -> Transform | None:
    """Return what changes a batch for a body that begins with `first`, as the recipe says; None where nothing does.

    All random numbers come from the CPU generator given with a batch, so that every device sees the same images.
    """
    changes: list[Transform] = []
    if recipe.shift:
        changes.append(partial(_on_maps, partial(shift, most=recipe.shift), first))
    if pixels and (recipe.rotation or recipe.crop_scale < 1):
        changes.append(partial(crop_and_rotate, crop_scale=recipe.crop_scale, degrees=recipe.rotation))
    if pixels and recipe.color_jitter:
        changes.append(partial(color_jitter, strength=recipe.color_jitter))
    if pixels and recipe.erasing:
        changes.append(partial(erase, probability=recipe.erasing))
    return partial(_in_turn, changes) if changes else None


def _in_turn(changes: list[Transform], batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    for change in changes:
        batch = change(batch, generator)
    return batch


def _on_maps(
    change: Transform, first: nn.Module | None, batch: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Leave pooled features, which have no place, as they are: all of them, or those that maps carry."""
    if batch.ndim != 4:
        return batch
    if isinstance(first, Carry) and first.width:
        return first.with_own(batch, lambda own: change(own, generator))
    return change(batch, generator)


def shift(maps: torch.Tensor, generator: torch.Generator, most: float) -> torch.Tensor:
    """Shift pixels or feature maps (N, C, H, W) by whole cells, up to a share `most` of a side; borders reflect."""
    count, _, height, width = maps.shape
    rows, columns = (_shifted(count, side, int(side * most), generator).to(maps.device) for side in (height, width))
    maps = maps.gather(2, rows.view(count, 1, height, 1).expand_as(maps))
    return maps.gather(3, columns.view(count, 1, 1, width).expand_as(maps))


def _shifted(count: int, side: int, reach: int, generator: torch.Generator) -> torch.Tensor:
    """Return which cell of a side each cell shows, int64 (count, side)."""
    by = torch.randint(-reach, reach + 1, (count, 1), generator=generator)
    cells = (torch.arange(side) + by).abs()  # reflect at the first cell, then at the last
    return (side - 1) - ((side - 1) - cells).abs()


def crop_and_rotate(
    images: torch.Tensor, generator: torch.Generator, crop_scale: float, degrees: float
) -> torch.Tensor:
    """Show a random-resized crop of float images (N, C, H, W), turned by up to `degrees`; borders reflect.

    A crop has a share of the area between `crop_scale` and 1, and sides in a ratio of 3:4 to 4:3 (Szegedy et al. 2015,
    arXiv 1409.4842); with a `crop_scale` of 1 the image is turned alone.
    """
    count = len(images)
    area = _uniform(count, (crop_scale, 1.0), generator)
    ratio = _log_uniform(count, ASPECT, generator) if crop_scale < 1 else torch.ones(count)
    width, height = ((area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1))
    left, top = (_uniform(count, (-1.0, 1.0), generator) * (1 - side) for side in (width, height))
    angle = _uniform(count, (-degrees, degrees), generator) * (math.pi / 180)
    cos, sin = angle.cos(), angle.sin()
    # From a place in the result to one in the image, both from -1 to 1.
    matrix = torch.stack([cos * width, -sin * height, left, sin * width, cos * height, top], 1).view(count, 2, 3)
    grid = F.affine_grid(matrix.to(images), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, "bilinear", "reflection", align_corners=False)


def color_jitter(images: torch.Tensor, generator: torch.Generator, strength: float) -> torch.Tensor:
    """Change brightness, contrast and, of colour images, saturation by factors from 1 - strength to 1 + strength.

    Float images (N, C, H, W) in [0, 255] stay in that range.
    """
    around = (1 - strength, 1 + strength)
    brightness, contrast, saturation = (
        _uniform(len(images), around, generator).view(-1, 1, 1, 1).to(images) for _ in range(3)
    )
    images = (images * brightness).clamp(0, 255)
    if images.shape[1] == 3:
        grey = _grey(images)
        images = (grey + (images - grey) * saturation).clamp(0, 255)
    mean = _grey(images).mean((2, 3), keepdim=True)
    return (mean + (images - mean) * contrast).clamp(0, 255)


def _grey(images: torch.Tensor) -> torch.Tensor:
    if images.shape[1] != 3:
        return images.mean(1, keepdim=True)
    weights = images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)  # ITU-R BT.601
    return (images * weights).sum(1, keepdim=True)


def erase(images: torch.Tensor, generator: torch.Generator, probability: float) -> torch.Tensor:
    """Paint a rectangle of 2 to 33 % of the area in the image's mean, in a share `probability` of the images.

    Zhong et al. 2017, arXiv 1708.04896. Images are float (N, C, H, W).
    """
    count, _, *sides = images.shape
    area = _uniform(count, ERASED_AREA, generator)
    ratio = _log_uniform(count, ERASED_ASPECT, generator)
    chosen = torch.rand(count, generator=generator) < probability
    spans = []
    for side, share in zip(sides, ((area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1))):
        start = (torch.rand(count, generator=generator) * (1 - share)).unsqueeze(1)
        cells = (torch.arange(side) + 0.5) / side
        spans.append((cells >= start) & (cells < start + share.unsqueeze(1)))
    rows, columns = spans
    hole = (rows.unsqueeze(2) & columns.unsqueeze(1) & chosen.view(-1, 1, 1)).unsqueeze(1).to(images.device)
    return torch.where(hole, images.mean((2, 3), keepdim=True), images)


def _uniform(count: int, between: tuple[float, float], generator: torch.Generator) -> torch.Tensor:
    low, high = between
    return low + (high - low) * torch.rand(count, generator=generator)


def _log_uniform(count: int, between: tuple[float, float], generator: torch.Generator) -> torch.Tensor:
    low, high = map(math.log, between)
    return _uniform(count, (low, high), generator).exp()
