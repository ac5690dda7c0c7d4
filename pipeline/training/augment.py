"""Random changes that only pixel inputs can have; cached stems have views alone."""

import torch
from torch.nn import functional as F


def jitter(images: torch.Tensor, strength: float, generator: torch.Generator) -> torch.Tensor:
    """Shift (reflecting), change contrast and brightness of float images (N, C, H, W) in [0, 255] at random.

    The generator is the CPU's, so that images on every device are changed alike.
    A strength of s moves up to s/3 of the side and changes contrast and brightness by up to a share s.
    """
    count, _, height, width = images.shape
    gain = 1 + strength * _signed((count, 1, 1, 1), generator).to(images.device)
    offset = 127.5 * strength * _signed((count, 1, 1, 1), generator).to(images.device)
    reach = int(min(height, width) * strength / 3)
    images = ((images - 127.5) * gain + 127.5 + offset).clamp(0, 255)
    if reach == 0:
        return images
    down, right = torch.randint(0, 2 * reach + 1, (2,), generator=generator).tolist()
    padded = F.pad(images, (reach,) * 4, mode="reflect")
    return padded[..., down : down + height, right : right + width]


def _signed(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    return torch.rand(shape, generator=generator) * 2 - 1
