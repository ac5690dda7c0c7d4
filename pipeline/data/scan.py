"""Read the images of a source: every file is decoded once, in full, by several processes."""

import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType

import numpy as np
from PIL import Image

from pipeline.common.files import unwritable
from pipeline.common.process_pool import Executor, cores
from pipeline.data.image_facts import ImageFacts, examine
from pipeline.data.image_files import LARGEST, ImageFiles

Progress = Callable[[int], object]
Put = Callable[[int, np.ndarray], None]
_CHUNK = 32  # images that a process reads before it reports
_WORTH = 32  # images for each process that make its start worth while


@dataclass(frozen=True)
class Plan:
    """How images are read: from where, to squares of which side, and up to how many pixels."""

    root: Path
    size: int
    max_pixels: int
    squares: Path | None = None  # the file of `Squares`; None where pixels are not kept

    @property
    def slot(self) -> int:
        """Return the size of an RGB square in bytes; a grey one takes a third of it, and leaves a hole."""
        return 3 * self.size * self.size


class Squares:
    """A temporary file of decoded images, one slot each, until they are packed into two folders.

    The file exists within the context; one left behind by a killed process is removed.
    """

    def __init__(self, plan: Plan) -> None:
        assert plan.squares is not None
        self.size, self._slot, self._file, self._descriptor = plan.size, plan.slot, plan.squares, -1

    def __enter__(self) -> "Squares":
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.unlink(missing_ok=True)  # never reused: orphans of a killed process may still write to it
            self._descriptor = os.open(self._file, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise unwritable(self._file, error.strerror) from error
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._descriptor)
        with suppress(OSError):
            self._file.unlink()

    def take(self, row: int, grey: bool, channels: int) -> np.ndarray:
        """Return the square of a row, (size, size, channels), channels 1 or 3; `grey`: whether it is stored as such."""
        shape = (self.size, self.size, 1 if grey else 3)
        data = os.pread(self._descriptor, math.prod(shape), row * self._slot)
        return np.broadcast_to(np.frombuffer(data, np.uint8).reshape(shape), (*shape[:2], channels))


def read(plan: Plan, paths: Sequence[str], progress: Progress, workers: int | None = 1) -> Iterator[ImageFacts | str]:
    """Yield the facts of each image in order, or the reason why it cannot be used; every file is decoded in full.

    `workers` processes read in parallel; None means one per core. Only the pixels being decoded are held in memory.
    """
    count = max(1, min(workers or cores(), len(paths) // _WORTH))
    chunk = max(1, min(_CHUNK, len(paths) // (4 * count)))
    jobs = (list(enumerate(paths[start : start + chunk], start)) for start in range(0, len(paths), chunk))
    with ExitStack() as stack:
        own = stack.enter_context(_Reader(plan)) if count == 1 else None
        executor = stack.enter_context(Executor(count, partial(_Reader, plan), _read_some, own, _advise))
        for part in executor.stream(jobs, ahead=4 * count):
            for each in part:
                progress(1)
                yield each


class _Reader(ImageFiles):
    """The files that a process reads, and the plan that it follows."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan.root, max(LARGEST, 8 * plan.max_pixels))
        self.plan = plan


def _advise(job: list[tuple[int, str]]) -> str:
    """Say what to do when a process died while reading these files."""
    (_, first), (_, last) = job[0], job[-1]
    named = f"reading {first}" if len(job) == 1 else f"reading one of {len(job)} files, {first} to {last}"
    return f"It was {named}. Lower prepare.workers or prepare.max_pixels if memory is short, then run again."


def _read_some(job: list[tuple[int, str]], reader: _Reader, report: object) -> list[ImageFacts | str]:
    """Return the facts of each image, or why it cannot be used; put down the squares."""
    plan = reader.plan
    with pillow_limit(plan.max_pixels), _writing(plan) as put:
        return [_read_one(row, path, reader, put) for row, path in job]


def _read_one(row: int, path: str, reader: _Reader, put: Put) -> ImageFacts | str:
    try:
        facts, pixels = examine(reader.read(path), path, reader.plan.size, reader.plan.max_pixels)
    except ValueError as error:
        return str(error)
    put(row, pixels)
    return facts


@contextmanager
def pillow_limit(max_pixels: int) -> Iterator[None]:
    """Silence Pillow's warnings, and make it refuse huge images by our limit instead of its own."""
    usual = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Image.MAX_IMAGE_PIXELS = max_pixels  # Pillow refuses twice as many; `opened` refuses those between
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = usual


@contextmanager
def _writing(plan: Plan) -> Iterator[Put]:
    """Yield a function that stores squares; it does not map the file, as that kills the process on a full disk."""
    if plan.squares is None:
        yield lambda row, pixels: None
        return
    descriptor = os.open(plan.squares, os.O_WRONLY)

    def put(row: int, pixels: np.ndarray) -> None:
        try:
            whole = os.pwrite(descriptor, pixels.tobytes(), row * plan.slot) == pixels.nbytes
        except OSError as error:
            raise unwritable(plan.squares, error.strerror) from error
        if not whole:
            raise unwritable(plan.squares, "the disk is full")

    try:
        yield put
    finally:
        os.close(descriptor)
