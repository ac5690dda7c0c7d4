"""Image files to squares of pixels. No torch is loaded, so that processes that only read images start at once."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

MAX_PIXELS = 50_000_000
_FINER = 2  # a JPEG is decoded at least at this multiple of the requested size, as in Pillow's thumbnail()


def decode(data: bytes, size: int, channels: int, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode an image file to uint8 (size, size, channels), channels 1 (grey) or 3 (RGB).

    It is turned upright by its EXIF tag, put on a white background if transparent, scaled from 16 to 8 bits, and
    resized to a square (bicubic, antialiased). Raise ValueError where it is no image, is damaged, or has over
    `max_pixels`.
    """
    with opened(data, max_pixels) as image:
        return square(image, size, channels)


@contextmanager
def opened(data: bytes, max_pixels: int) -> Iterator[Image.Image]:
    """Yield an image whose header has been read; raise ValueError for any fault, also one found within the block."""
    if not data:
        raise ValueError("the file is empty")
    wrong = ""
    try:
        with Image.open(io.BytesIO(data)) as image:
            wrong = _refused(image, max_pixels)
            if not wrong:
                yield image
    except Image.DecompressionBombError:
        wrong = f"its pixels are over the limit of {max_pixels}"
    except UnidentifiedImageError:  # whose own message contains a memory address
        wrong = "not a readable image (of no known format)"
    except MemoryError:
        raise
    except Exception as error:  # damaged files make Pillow raise anything: struct.error, IndexError...
        text = str(error) or type(error).__name__
        wrong = f"not a readable image ({text.splitlines()[0][:80]})"
    if wrong:
        raise ValueError(wrong)


def _refused(image: Image.Image, max_pixels: int) -> str:
    if image.width * image.height > max_pixels:
        return f"{image.width}x{image.height} pixels are over the limit of {max_pixels}"
    if image.format == "EPS":  # Pillow would run Ghostscript on it
        return "EPS is a program rather than an image; save it as PNG"
    if image.mode == "F":  # white could be 1, 255 or anything
        return "holds floating-point numbers; save it with 8 or 16 bits"
    return ""


def is_grey(image: Image.Image) -> bool:
    """Say, from its header, whether an opened file stores grey levels only."""
    return image.mode in ("1", "L", "LA") or image.mode.startswith("I")


def square(image: Image.Image, size: int, channels: int) -> np.ndarray:
    """Decode the pixels of an opened image as `decode` does."""
    # A much larger JPEG is decoded at a half, a quarter or an eighth of its size, which saves most of the work.
    image.draft(None, (_FINER * size, _FINER * size))  # type: ignore[arg-type]  # None keeps the mode
    ImageOps.exif_transpose(image, in_place=True)
    plain = _plain(image, "L" if channels == 1 else "RGB")
    return np.asarray(plain.resize((size, size), Image.Resampling.BICUBIC)).reshape(size, size, channels)


def _plain(image: Image.Image, mode: str) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits: Pillow would clip them at 255
        image = Image.fromarray((np.asarray(image, dtype=np.float64) / 257).round().clip(0, 255).astype(np.uint8))
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image if image.mode == mode else image.convert(mode)  # which would copy it
