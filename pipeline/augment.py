"""Views (exact flips and turns, which cached stems can have) and jitter (which only pixels can)."""

import torch
from torch.nn import functional as F

# Each view is (transpose, flip vertically, flip horizontally), done in this order: the eight symmetries of a square.
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
    """Return images (..., S, S) as the view shows them."""
    transpose, vertical, horizontal = _VIEWS[view]
    if transpose:
        images = images.transpose(-1, -2)
    flipped = [axis for axis, wanted in ((-2, vertical), (-1, horizontal)) if wanted]
    return images.flip(flipped) if flipped else images


def jitter(images: torch.Tensor, strength: float, generator: torch.Generator) -> torch.Tensor:
    """Shift (reflecting), change contrast and brightness of float images (N, C, H, W) in [0, 255] at random.

    A strength of s moves up to s/3 of the side and changes contrast and brightness by up to a share s.
    """
    count, _, height, width = images.shape
    gain = 1 + strength * _signed((count, 1, 1, 1), generator)
    offset = 127.5 * strength * _signed((count, 1, 1, 1), generator)
    reach = int(min(height, width) * strength / 3)
    images = ((images - 127.5) * gain + 127.5 + offset).clamp(0, 255)
    if reach == 0:
        return images
    down, right = torch.randint(0, 2 * reach + 1, (2,), generator=generator).tolist()
    padded = F.pad(images, (reach,) * 4, mode="reflect")
    return padded[..., down : down + height, right : right + width]


def _signed(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    return torch.rand(shape, generator=generator) * 2 - 1
