"""The size that images are packed at: a number of the user's, or what `auto` makes of the images and the strategies."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import NamedTuple

from pipeline.config.params import Prepare
from pipeline.data.image_files import ImageFiles
from pipeline.data.scan import pillow_limit

SAMPLED = 500  # images whose headers say how large they are
_MULTIPLE = 8  # to which their own size is rounded up


class PackedSize(NamedTuple):
    """The size that images are packed at, and why."""

    side: int  # of the square, in pixels
    notes: tuple[str, ...] = ()  # a sentence on what was chosen and why; none where the user gave a number


def packed_size(root: Path, paths: Sequence[str], wanted: Prepare, largest: int) -> PackedSize:
    """Return the size to pack the images of a source at; no strategy has a larger image_size than `largest`, in pixels.

    With `auto`, squares larger than the images would waste disk, as the network scales small ones up, and squares
    larger than any strategy asks for would be scaled down each time. Only headers are read; images without a sound
    one are passed over.
    """
    if wanted.image_size != "auto":
        return PackedSize(wanted.image_size)
    sampled = spread(paths, SAMPLED)
    sides = list(_longer_sides(root, sampled, wanted.max_pixels))
    own = -(-median(sides) // _MULTIPLE) * _MULTIPLE if sides else largest
    side = min(int(own), largest)
    part = f" in a sample of {len(sampled)}" if len(sampled) < len(paths) else ""
    if side < largest:
        why = (
            f"close to their own size (the median longer side is {median(sides):g}{part}); a strategy that asks for "
            f"more, up to {largest}, scales them up in its network"
        )
    else:
        known = f"their median longer side is {median(sides):g}{part}" if sides else f"no header gives their own{part}"
        why = f"the most that any strategy asks for; {known}"
    return PackedSize(side, (f"Images are packed at {side}x{side} pixels (prepare.image_size: auto), {why}.",))


def spread(paths: Sequence[str], most: int) -> list[str]:
    """Return all paths, or `most` of them at equal distances."""
    count = min(len(paths), most)
    return [paths[number * len(paths) // count] for number in range(count)]


def _longer_sides(root: Path, paths: Sequence[str], max_pixels: int) -> Iterator[int]:
    """Yield the longer side of each image that has a header and is not over the limit, in pixels."""
    with ImageFiles(root) as files, pillow_limit(max_pixels):
        for path in paths:
            with suppress(ValueError):
                width, height = files.size(path)
                if width * height <= max_pixels:
                    yield max(width, height)
