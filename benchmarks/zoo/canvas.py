"""What builders of several tasks do to images: bring them to one size, lay them on a ground, rasterise drawings."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, ImageChops

from pipeline.common.errors import UserError

WHITE = (255, 255, 255)


def square(image: Image.Image, size: int, ground: tuple[int, int, int] = WHITE, margin: int = 0) -> Image.Image:
    """Return an image as large as fits in the middle of a square of one colour, in RGB."""
    image = image.convert("RGBA")
    room = size - 2 * margin
    scale = room / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.LANCZOS)
    out = Image.new("RGBA", (size, size), (*ground, 255))
    out.alpha_composite(image, ((size - width) // 2, (size - height) // 2))
    return out.convert("RGB")


def rasterised(svg: str, size: int) -> Image.Image:
    """Return an SVG drawing, its longer side `size` pixels, in RGBA; raise ValueError where it cannot be drawn.

    Fonts of the machine are not looked at: they would make another drawing of it on every machine.
    """
    try:
        from resvg_py import svg_to_bytes
    except ImportError:
        raise UserError("drawings are rasterised by resvg-py, which is not installed: uv sync --group zoo") from None

    probe = _opened(svg_to_bytes(svg_string=svg, width=32, skip_system_fonts=True, dpi=96))
    side = {"width": size} if probe.width >= probe.height else {"height": size}
    return _opened(svg_to_bytes(svg_string=svg, skip_system_fonts=True, dpi=96, **side))


def _opened(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGBA")


def inked(image: Image.Image) -> Image.Image | None:
    """Return the part of a drawing that is neither transparent nor white, laid on white; None where there is none."""
    page = Image.new("RGBA", image.size, (*WHITE, 255))
    page.alpha_composite(image.convert("RGBA"))
    page = page.convert("RGB")
    box = ImageChops.difference(page, Image.new("RGB", page.size, WHITE)).getbbox()
    return page.crop(box) if box else None


@contextmanager
def large_allowed() -> Iterator[None]:
    """Let Pillow open images as large as they come: those of a checked package are no attack."""
    usual = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = usual


def colour(rng: np.random.Generator, low: int = 0, high: int = 256) -> tuple[int, int, int]:
    """Return a random colour whose channels are from low to below high."""
    red, green, blue = rng.integers(low, high, 3)
    return int(red), int(green), int(blue)
