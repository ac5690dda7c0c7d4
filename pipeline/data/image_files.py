"""The image files that a source's paths name, in a folder or in an array there, as bytes."""

import os
import stat
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from PIL import Image

from pipeline.data.image_arrays import ImageArray

LARGEST = 2**29  # bytes of a file, by default

Found = TypeVar("Found")


class ImageFiles:
    """Where image files are read: paths name files in a folder, or rows of the arrays in it."""

    def __init__(self, root: Path, most: int = LARGEST) -> None:
        """Refuse files of over `most` bytes."""
        self.root, self._inside, self._most = str(root), os.path.realpath(root), most
        self._real: dict[str, str] = {}  # folders, without symlinks
        self._arrays: dict[str, ImageArray | None] = {}  # by the file that a path would lie in, were it a folder

    def __enter__(self) -> "ImageFiles":
        return self

    def __exit__(self, *error: object) -> None:
        for rows in self._arrays.values():
            if rows is not None:
                rows.close()

    def read(self, path: str) -> bytes:
        """Return the bytes of an image file; raise ValueError with the reason where there are none."""
        return self._take(path, self._bytes, ImageArray.read)

    def size(self, path: str) -> tuple[int, int]:
        """Return the width and height that an image's header gives, in pixels; raise ValueError where it gives none."""
        return self._take(path, self._size, ImageArray.size)

    def _take(self, path: str, of_file: Callable[[str], Found], of_row: Callable[[ImageArray, int], Found]) -> Found:
        file = os.path.join(self.root, path)
        try:
            self._refuse_outside(file)
            rows = self._rows(os.path.dirname(file))
            if rows is None:
                return of_file(file)
        except FileNotFoundError as error:
            if (other := _spelled_otherwise(file)) is None:
                raise ValueError(error.strerror) from None
            return self._take(other, of_file, of_row)
        except OSError as error:
            raise ValueError(error.strerror) from None
        name = os.path.basename(file)
        if not name.isdecimal():
            raise ValueError(f"expected the number of a row, found {name!r}")
        return of_row(rows, int(name))

    def _refuse_outside(self, file: str) -> None:
        folder, name = os.path.split(file)
        if name in ("", ".", "..") or os.path.islink(file):
            real = os.path.realpath(file)
        else:
            if folder not in self._real:
                self._real[folder] = os.path.realpath(folder)
            real = os.path.join(self._real[folder], name)
        if real != self._inside and not real.startswith(os.path.join(self._inside, "")):
            raise ValueError("leads out of the data folder")

    def _rows(self, file: str) -> ImageArray | None:
        if file not in self._arrays:
            self._arrays[file] = ImageArray(Path(file)) if os.path.isfile(file) else None
        return self._arrays[file]

    def _bytes(self, file: str) -> bytes:
        self._refuse_unreadable(file)
        with open(file, "rb") as stream:
            data = stream.read()
        if not data:
            raise ValueError("the file is empty")
        return data

    def _size(self, file: str) -> tuple[int, int]:
        self._refuse_unreadable(file)
        with open(file, "rb") as stream:
            try:
                with Image.open(stream) as image:
                    return image.size
            except Exception as error:  # damaged files make Pillow raise anything
                raise ValueError(f"not a readable image ({type(error).__name__})") from None

    def _refuse_unreadable(self, file: str) -> None:
        """Refuse all but a regular file, as reading might never end, and one that is too large."""
        found = os.stat(file)
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            raise ValueError("is a pipe, socket or device, not a file")
        if found.st_size > self._most:
            raise ValueError(f"{found.st_size / 1e6:,.0f} MB are over the limit of {self._most / 1e6:,.0f} MB")


def _spelled_otherwise(file: str) -> str | None:
    """Find a file whose name has the same letters in another Unicode form, as macOS writes them."""
    forms = (unicodedata.normalize(form, file) for form in ("NFC", "NFD"))
    return next((form for form in forms if form != file and os.path.exists(form)), None)
