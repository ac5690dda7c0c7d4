"""Ways in which a photograph is damaged, each (96, 96, 3) of uint8 and a generator to the same shape."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

Damage = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def _none(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return pixels


def _blurred(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(int(rng.integers(10, 30)) / 10)))


def _moved(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the mean of the image shifted step by step along a line."""
    length, (down, right) = int(rng.integers(4, 10)), ((0, 1), (1, 0), (1, 1), (1, -1))[rng.integers(4)]
    total = sum(np.roll(pixels.astype(np.int64), (down * step, right * step), (0, 1)) for step in range(length))
    return (np.asarray(total) // length).astype(np.uint8)


def _noisy(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noise = rng.integers(-64, 65, (4, *pixels.shape)).sum(0) * int(rng.integers(8, 32)) // 64
    return (pixels + noise).clip(0, 255).astype(np.uint8)


def _speckled(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the image with some pixels black or white."""
    drawn = rng.random(pixels.shape[:2])
    share = int(rng.integers(5, 40)) / 1000
    out = pixels.copy()
    out[drawn < share] = 0
    out[drawn > 1 - share] = 255
    return out


def _compressed(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, "JPEG", quality=int(rng.integers(8, 30)))
    with Image.open(packed) as image:
        return np.asarray(image.convert("RGB"))


def _coarse(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the image in squares of one colour."""
    image, side = Image.fromarray(pixels), int(rng.integers(2, 6))
    small = image.resize((image.width // side, image.height // side), Image.Resampling.BOX)
    return np.asarray(small.resize(image.size, Image.Resampling.NEAREST))


def _flat(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the image in few shades of each channel."""
    step = 255 // int(rng.integers(3, 8))
    return ((pixels.astype(np.int64) + step // 2) // step * step).clip(0, 255).astype(np.uint8)


def _sharpened(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    mask = ImageFilter.UnsharpMask(radius=2, percent=int(rng.integers(200, 500)), threshold=0)
    return np.asarray(Image.fromarray(pixels).filter(mask))


DAMAGES: dict[str, Damage] = {
    "blur": _blurred,
    "compression": _compressed,
    "few shades": _flat,
    "motion": _moved,
    "noise": _noisy,
    "none": _none,
    "pixels": _coarse,
    "sharpening": _sharpened,
    "speckles": _speckled,
}
