"""The images of a source, read in full: what is known of each, or why it cannot be used."""

import hashlib
import json
import math
import os
import stat
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path, PurePath
from types import TracebackType
from typing import NamedTuple

import numpy as np
from PIL import Image

from pipeline.checked import Checked, Stamp, stamp
from pipeline.decoding import is_grey, opened, square
from pipeline.errors import UserError
from pipeline.executor import Executor
from pipeline.records import source_digest
from pipeline.rows import Rows

Progress = Callable[[int], object]
Put = Callable[[int, np.ndarray], None]
_LARGEST = 2**29  # bytes of a file, where prepare.max_pixels does not ask for more
_CHUNK = 32  # images that a process reads before it reports
_WORTH = 32  # images for each process that make its start worth while
_ADVICE = "Lower prepare.workers or prepare.max_pixels if memory is short, then run again."
# What a suffix promises, in Pillow's words; MPO is a JPEG of several pictures, as some phones write it.
_FORMATS = {
    ".png": {"PNG"}, ".jpg": {"JPEG", "MPO"}, ".jpeg": {"JPEG", "MPO"}, ".bmp": {"BMP"}, ".gif": {"GIF"},
    ".tif": {"TIFF"}, ".tiff": {"TIFF"}, ".webp": {"WEBP"}, ".ppm": {"PPM"}, ".pgm": {"PPM"},
}  # fmt: skip
_ORIENTATION = 0x0112  # the EXIF tag
_SIDE, _KEPT = 32, 8  # of the image that is hashed, and of its lowest frequencies that are


class Facts(NamedTuple):
    """What is known of an image file."""

    id: str  # hash of its content, 32 hex digits
    width: int  # in pixels, as stored
    height: int
    grey: bool  # stores grey levels alone
    look: int  # perceptual hash, 63 bits of which few differ where images look alike; -1 for one level all over
    marks: tuple[str, ...]  # of animated, CMYK, 16 bit, palette, alpha, rotated, extension


class Contents:
    """The image files that the paths of a source name: files of a folder, or rows of arrays in it, read as files."""

    def __init__(self, root: Path, most: int = _LARGEST) -> None:
        """Refuse files of over `most` bytes."""
        self.root, self._inside, self._most = str(root), os.path.realpath(root), most
        self._real: dict[str, str] = {}  # folders, without symlinks
        self._arrays: dict[str, Rows | None] = {}  # by the file that a path would lie in, were it a folder

    def __enter__(self) -> "Contents":
        return self

    def __exit__(self, *error: object) -> None:
        for rows in self._arrays.values():
            if rows is not None:
                rows.close()

    def read(self, path: str) -> bytes:
        """Return the bytes of an image file; raise ValueError saying why there are none."""
        file = os.path.join(self.root, path)
        try:
            self._refuse_outside(file)
            rows = self._rows(os.path.dirname(file))
            if rows is None:
                return self._bytes(file)
        except OSError as error:
            raise ValueError(error.strerror) from None
        name = os.path.basename(file)
        if not name.isdecimal():
            raise ValueError(f"expected the number of a row, found {name!r}")
        return rows.read(int(name))

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

    def _rows(self, file: str) -> Rows | None:
        if file not in self._arrays:
            self._arrays[file] = Rows(Path(file)) if os.path.isfile(file) else None
        return self._arrays[file]

    def _bytes(self, file: str) -> bytes:
        """Return what a regular file holds: anything else could be read for ever, or not at all."""
        found = os.stat(file)
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            raise ValueError("is a pipe, socket or device, no file")
        if found.st_size > self._most:
            raise ValueError(f"{found.st_size / 1e6:,.0f} MB are over the limit of {self._most / 1e6:,.0f} MB")
        with open(file, "rb") as stream:
            data = stream.read()
        if not data:
            raise ValueError("the file is empty")
        return data


def examine(data: bytes, path: str, size: int, max_pixels: int) -> tuple[Facts, np.ndarray]:
    """Return what is known of an image file, and its pixels (size, size, 1 if grey else 3) as `decode` gives them.

    Raise ValueError saying why it cannot be used.
    """
    with opened(data, max_pixels) as image:
        width, height = image.size
        grey, marks = is_grey(image), _marks(image, PurePath(path).suffix.lower())
        pixels = square(image, size, 1 if grey else 3)
    content = hashlib.sha256(data).hexdigest()[:32]
    return Facts(content, width, height, grey, look(pixels), marks), pixels


def _marks(image: Image.Image, suffix: str) -> tuple[str, ...]:
    found = {
        "animated": getattr(image, "is_animated", False),
        "CMYK": image.mode == "CMYK",
        "16 bit": image.mode.startswith("I") or any(";16" in str(tile[3]) for tile in getattr(image, "tile", [])[:1]),
        "palette": image.mode in ("P", "PA"),
        "alpha": image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info,
        "rotated": 2 <= image.getexif().get(_ORIENTATION, 1) <= 8,
        "extension": image.format not in _FORMATS.get(suffix, {image.format}),
    }
    return tuple(mark for mark, there in found.items() if there)


def look(pixels: np.ndarray) -> int:
    """Return a perceptual hash of pixels (S, S, 1 or 3), in [0, 2**63), or -1 where all have one level.

    pHash (Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions"): which of the lowest
    frequencies of the cosine transform are above their median. The constant one is left out, so that 63 bits remain.
    Whole numbers throughout, so that every machine finds the same bits.
    """
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).convert("L")
    small = np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR), dtype=np.int64)
    if small.min() == small.max():
        return -1
    waves = _waves()
    found = (waves @ small @ waves.T).ravel()[1:]
    return int("".join("01"[bit] for bit in (found > np.median(found)).tolist()), 2)


@cache
def _waves() -> np.ndarray:
    """Return the cosines (8, 32) of the lowest frequencies, as whole numbers."""
    angles = np.outer(np.arange(_KEPT), 2 * np.arange(_SIDE) + 1) * np.pi / (2 * _SIDE)
    return np.asarray(np.rint(1024 * np.cos(angles)), dtype=np.int64)


@dataclass(frozen=True)
class Plan:
    """What is read, and how: side of the squares, most pixels of an image, and the file that takes the squares."""

    root: Path
    size: int
    max_pixels: int
    squares: Path | None = None  # that of `Squares`; None where nobody wants them

    @property
    def slot(self) -> int:
        """Return the bytes of a square in colour; a grey one takes a third, and leaves a hole."""
        return 3 * self.size * self.size

    @property
    def meaning(self) -> str:
        """Return all that facts depend on beside the content of files."""
        code = source_digest(("decoding", "reading", "rows"))
        return f"{code} Pillow {version('pillow')} {self.size} {self.max_pixels}"


class Squares:
    """Decoded images in a temporary file, one slot each, on their way from one decoding to two folders.

    The file is there within the context; one that a killed process left is removed.
    """

    def __init__(self, plan: Plan) -> None:
        assert plan.squares is not None
        self.size, self._slot, self._file, self._descriptor = plan.size, plan.slot, plan.squares, -1

    def __enter__(self) -> "Squares":
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.unlink(missing_ok=True)  # not opened anew: orphans of a killed process may be writing it
            self._descriptor = os.open(self._file, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise _unwritable(self._file, error.strerror) from error
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._descriptor)
        with suppress(OSError):
            self._file.unlink()

    def take(self, row: int, grey: bool, channels: int) -> np.ndarray:
        """Return a square (size, size, channels), channels 1 or 3; `grey` says that its image is."""
        shape = (self.size, self.size, 1 if grey else 3)
        data = os.pread(self._descriptor, math.prod(shape), row * self._slot)
        return np.broadcast_to(np.frombuffer(data, np.uint8).reshape(shape), (*shape[:2], channels))


def _unwritable(file: Path | None, why: str | None) -> UserError:
    return UserError(f"{file}: cannot be written: {why}; free space or rights, then run again")


def read(
    plan: Plan, paths: Sequence[str], progress: Progress, workers: int | None = 1, checked: Checked | None = None
) -> Iterator[Facts | str]:
    """Yield what is known of each image, or why it cannot be used, in order; every file is decoded in full.

    `workers` processes read side by side; None is one for each core. What `checked` remembers of unchanged files is
    taken from there, unless squares are wanted. Pixels are never held but for those that are being decoded.
    """
    remembered = _remembered(plan, paths, checked) if checked is not None and plan.squares is None else {}
    missing = [row for row in range(len(paths)) if row not in remembered]
    count = max(1, min(workers or len(os.sched_getaffinity(0)), len(missing) // _WORTH))
    chunk = max(1, min(_CHUNK, len(missing) // (4 * count)))
    jobs = ([(row, paths[row]) for row in missing[start : start + chunk]] for start in range(0, len(missing), chunk))
    with ExitStack() as stack:
        own = stack.enter_context(_Reader(plan)) if count == 1 else None
        executor = stack.enter_context(Executor(count, partial(_Reader, plan), _read_some, own, _ADVICE))
        found = (each for part in executor.stream(jobs, ahead=4 * count) for each in part)
        for row, path in enumerate(paths):
            if row in remembered:
                text = remembered.pop(row)
            else:
                then, text = next(found)
                if checked is not None:
                    checked.put(_key(plan, path), then, text)
            progress(1)
            yield _from_json(text)


def _from_json(text: str) -> Facts | str:
    value = json.loads(text)
    if isinstance(value, str):
        return value
    return Facts._make([*value[:-1], tuple(value[-1])])


def _remembered(plan: Plan, paths: Sequence[str], checked: Checked) -> dict[int, str]:
    known = ((row, checked.get(_key(plan, path), _stamp(plan, path))) for row, path in enumerate(paths))
    return {row: text for row, text in known if text is not None}


def _key(plan: Plan, path: str) -> str:
    """Return a name for an image in a folder: of another one, its path might lead out."""
    return f"{os.path.abspath(plan.root)}\0{path}"


def _stamp(plan: Plan, path: str) -> Stamp | None:
    """Return the stamp of a file, or of the array that a row is in."""
    file = os.path.join(plan.root, path)
    return stamp(file) or stamp(os.path.dirname(file))


class _Reader(Contents):
    """What a process reads with."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan.root, max(_LARGEST, 8 * plan.max_pixels))
        self.plan = plan


def _read_some(job: list[tuple[int, str]], reader: _Reader, report: object) -> list[tuple[Stamp | None, str]]:
    """Return the stamp of each image, and as JSON its facts or why it cannot be used; put down the squares."""
    plan = reader.plan
    with _calm(plan.max_pixels), _writing(plan) as put:
        return [(_stamp(plan, path), json.dumps(_read_one(row, path, reader, put))) for row, path in job]


def _read_one(row: int, path: str, reader: _Reader, put: Put) -> Facts | str:
    try:
        facts, pixels = examine(reader.read(path), path, reader.plan.size, reader.plan.max_pixels)
    except ValueError as error:
        return str(error)
    put(row, pixels)
    return facts


@contextmanager
def _calm(max_pixels: int) -> Iterator[None]:
    """Keep Pillow's warnings quiet, and have it refuse huge images by our limit rather than its own."""
    usual = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Image.MAX_IMAGE_PIXELS = max_pixels  # refused from twice as many on; `opened` refuses those between
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = usual


@contextmanager
def _writing(plan: Plan) -> Iterator[Put]:
    """Yield what puts squares down, without a map: on a full disk that would end the process."""
    if plan.squares is None:
        yield lambda row, pixels: None
        return
    descriptor = os.open(plan.squares, os.O_WRONLY)

    def put(row: int, pixels: np.ndarray) -> None:
        try:
            whole = os.pwrite(descriptor, pixels.tobytes(), row * plan.slot) == pixels.nbytes
        except OSError as error:
            raise _unwritable(plan.squares, error.strerror) from error
        if not whole:
            raise _unwritable(plan.squares, "the disk is full")

    try:
        yield put
    finally:
        os.close(descriptor)
