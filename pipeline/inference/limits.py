"""What a model accepts in one call, so that no input takes all memory or all day."""

import os
from dataclasses import dataclass, fields
from typing import Self

from .decoding import MAX_PIXELS


@dataclass(frozen=True)
class Limits:
    """The most that one call may hold. Environment variables such as `HEADSTART_MAX_IMAGES` set others."""

    max_images: int = 1000
    max_bytes: int = 2**26  # of one image's file
    max_pixels: int = MAX_PIXELS  # of one image, width times height

    @classmethod
    def from_environment(cls) -> Self:
        """Read the limits from the environment; raise ValueError for one that is no positive whole number."""
        found = {}
        for field in fields(cls):
            name = f"HEADSTART_{field.name.upper()}"
            if text := os.environ.get(name, "").strip():
                if not text.isdecimal() or int(text) < 1:
                    raise ValueError(f"{name} must be a positive whole number, found {text!r}")
                found[field.name] = int(text)
        return cls(**found)

    def check_images(self, count: int) -> None:
        """Raise ValueError for too many images."""
        if count > self.max_images:
            raise ValueError(
                f"{count} images are over the limit of {self.max_images} in one call; send fewer at a time"
            )

    def check_bytes(self, count: int) -> None:
        """Raise ValueError for too large a file."""
        if count > self.max_bytes:
            raise ValueError(f"{count:,} bytes are over the limit of {self.max_bytes:,}")

    def check_pixels(self, height: int, width: int) -> None:
        """Raise ValueError for too large an array."""
        if height * width > self.max_pixels:
            raise ValueError(f"{width}x{height} pixels are over the limit of {self.max_pixels}")
