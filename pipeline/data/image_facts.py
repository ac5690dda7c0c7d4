"""The facts of an image file: what is known once it has been decoded."""

import hashlib
from functools import cache
from pathlib import PurePath
from typing import NamedTuple

import numpy as np
from PIL import Image

from pipeline.inference.decoding import is_grey, opened, square

# What a suffix promises, in Pillow's words; MPO is a JPEG of several pictures, as some phones write it.
_FORMATS = {
    ".png": {"PNG"}, ".jpg": {"JPEG", "MPO"}, ".jpeg": {"JPEG", "MPO"}, ".bmp": {"BMP"}, ".gif": {"GIF"},
    ".tif": {"TIFF"}, ".tiff": {"TIFF"}, ".webp": {"WEBP"}, ".ppm": {"PPM"}, ".pgm": {"PPM"},
}  # fmt: skip
_WITH_ALPHA = ("LA", "PA", "RGBA")
_ORIENTATION = 0x0112  # the EXIF tag
_SIDE, _KEPT = 32, 8  # of the image that is hashed, and of its lowest frequencies that are


class ImageFacts(NamedTuple):
    """The facts of an image file."""

    id: str  # hash of its content, 32 hex digits
    width: int  # in pixels, as stored
    height: int
    grey: bool  # stores grey levels alone
    phash: int  # perceptual hash of 63 bits, few of which differ between near duplicates; -1 for a uniform image
    marks: tuple[str, ...]  # of animated, CMYK, 16 bit, palette, alpha, rotated, extension


def examine(data: bytes, path: str, size: int, max_pixels: int) -> tuple[ImageFacts, np.ndarray]:
    """Decode an image file: return its facts, and its pixels (size, size, 1 if grey else 3) as `decode` does.

    Raise ValueError with the reason where it cannot be used: it cannot be read in full, or all its pixels are equal.
    """
    with opened(data, max_pixels) as image:
        width, height = image.size
        grey, marks = is_grey(image), _marks(image, PurePath(path).suffix.lower())
        pixels = square(image, size, 1 if grey else 3)
        blank = _blankness(image, pixels) if (pixels == pixels[:1, :1]).all() else ""
    if blank:
        raise ValueError(f"has no content ({blank})")
    content = hashlib.sha256(data).hexdigest()[:32]
    return ImageFacts(content, width, height, grey, phash(pixels), marks), pixels


def _blankness(image: Image.Image, pixels: np.ndarray) -> str:
    """Say in what way an image is blank whose pixels are all equal."""
    if image.size == (1, 1):
        return "a single pixel"
    if image.mode in _WITH_ALPHA and image.getchannel("A").getextrema()[1] == 0:
        return "transparent all over"
    return f"{'black' if not pixels.any() else 'one colour'} all over"


def _marks(image: Image.Image, suffix: str) -> tuple[str, ...]:
    found = {
        "animated": getattr(image, "is_animated", False),
        "CMYK": image.mode == "CMYK",
        "16 bit": image.mode.startswith("I") or any(";16" in str(tile[3]) for tile in getattr(image, "tile", [])[:1]),
        "palette": image.mode in ("P", "PA"),
        "alpha": image.mode in _WITH_ALPHA or "transparency" in image.info,
        "rotated": 2 <= image.getexif().get(_ORIENTATION, 1) <= 8,
        "extension": image.format not in _FORMATS.get(suffix, {image.format}),
    }
    return tuple(mark for mark, there in found.items() if there)


def phash(pixels: np.ndarray) -> int:
    """Compute the perceptual hash of pixels (S, S, 1 or 3), in [0, 2**63), or -1 where all have one grey level.

    pHash (Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions"): one bit for each of the
    lowest frequencies of the cosine transform, set where it is above the median. The constant one is left out, so 63
    bits remain. It is computed in integers, so that every machine finds the same bits.
    """
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).convert("L")
    small = np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR), dtype=np.int64)
    if small.min() == small.max():
        return -1
    waves = _waves()
    found = (waves @ small @ waves.T).ravel()[1:]
    above = found > np.partition(found, len(found) // 2)[len(found) // 2]
    return int.from_bytes(np.packbits(above).tobytes(), "big") >> 1


@cache
def _waves() -> np.ndarray:
    """Return the cosines (8, 32) of the lowest frequencies, as whole numbers."""
    angles = np.outer(np.arange(_KEPT), 2 * np.arange(_SIDE) + 1) * np.pi / (2 * _SIDE)
    return np.asarray(np.rint(1024 * np.cos(angles)), dtype=np.int64)
