"""An array of images on disk, in a .npy file or as `images` in a .npz file, whose rows are served as image files."""

import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

MEMBER = "images.npy"
# Formats of raw bytes, by number of channels: netpbm, and Pillow's variant of it for four.
_KINDS = {1: b"P5", 3: b"P6", 4: b"PyRGBA"}
_TROUBLE = (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)


class ImageArray:
    """An open array (N, H, W) or (N, H, W, C), uint8, C 1, 3 or 4; rows are read one by one and not kept in memory."""

    def __init__(self, file: Path) -> None:
        """Open a file; raise ValueError with the reason where it cannot be used."""
        try:
            self._stream, size = _opened(file)
            self.shape, self._start = _checked(self._stream), self._stream.tell()
        except _TROUBLE as error:
            raise ValueError(f"not a readable array: {error}") from None
        self._row = int(np.prod(self.shape[1:]))
        if size < self._start + len(self) * self._row:
            raise ValueError(f"holds fewer than the {len(self)} images that its header declares; save it again")
        height, width, channels = self.shape[1:]
        self._head = b"%s %d %d 255\n" % (_KINDS[channels], width, height)

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, row: int) -> bytes:
        """Return an image as the content of a file that Pillow opens; it depends on shape and pixels alone.

        In a .npz file, rows are read fastest in ascending order. Raise ValueError for a missing or damaged row.
        """
        self._refuse_missing(row)
        try:
            self._stream.seek(self._start + row * self._row)
            data = self._stream.read(self._row)
        except _TROUBLE as error:
            raise ValueError(f"not a readable array: {error}") from None
        if len(data) < self._row:
            raise ValueError("the array ends within this image")
        return self._head + data

    def size(self, row: int) -> tuple[int, int]:
        """Return the width and height of an image in pixels; raise ValueError for a missing row."""
        self._refuse_missing(row)
        return self.shape[2], self.shape[1]

    def _refuse_missing(self, row: int) -> None:
        if not 0 <= row < len(self):
            raise ValueError(f"there is no row {row}, only 0 to {len(self) - 1}")

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def _opened(file: Path) -> tuple[BinaryIO, int]:
    """Open the bytes of a .npy file; return them and their number."""
    if file.suffix.lower() != ".npz":
        return file.open("rb"), file.stat().st_size
    with zipfile.ZipFile(file) as archive:
        if MEMBER not in archive.namelist():
            names = ", ".join(name.removesuffix(".npy") for name in archive.namelist())
            raise ValueError(f"has no array `images`; it has {names or 'none'}")
        return archive.open(MEMBER), archive.getinfo(MEMBER).file_size  # type: ignore[return-value]


def _checked(stream: BinaryIO) -> tuple[int, int, int, int]:
    """Read and check the header; return N, H, W and C."""
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError("images have named fields; expected an array of uint8")
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(stream)
    if dtype.hasobject:
        raise ValueError("images are Python objects; expected uint8: np.stack(images) where all are of one shape")
    if dtype != np.uint8:
        raise ValueError(f"images are {dtype}; expected uint8, from 0 to 255")
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in _KINDS):
        raise ValueError(f"images have the shape {shape}; expected (N, H, W) or (N, H, W, C) with C 1, 3 or 4")
    if 0 in shape:
        raise ValueError(f"images have the shape {shape}: there are none")
    if fortran:
        raise ValueError("images are stored column by column; save np.ascontiguousarray(images)")
    count, height, width, channels = (*shape, 1)[:4]
    return count, height, width, channels
