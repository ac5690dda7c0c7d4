"""Reading the images of a source: every file is decoded once, in full, by several processes."""

import json
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
import PIL
from PIL import Image

from pipeline.common.code_digest import code_digest
from pipeline.common.errors import UserError
from pipeline.common.process_pool import Executor
from pipeline.data.checked import Checked, Stamp, stamp
from pipeline.data.contents import LARGEST, Contents
from pipeline.data.facts import Facts, examine

Progress = Callable[[int], object]
Put = Callable[[int, np.ndarray], None]
_CHUNK = 32  # images that a process reads before it reports
_WORTH = 32  # images for each process that make its start worth while


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
        code = code_digest("facts")
        return f"{code} Pillow {PIL.__version__} {self.size} {self.max_pixels}"


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
        executor = stack.enter_context(Executor(count, partial(_Reader, plan), _read_some, own, _advise))
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
        super().__init__(plan.root, max(LARGEST, 8 * plan.max_pixels))
        self.plan = plan


def _advise(job: list[tuple[int, str]]) -> str:
    """Say what to do about a process that died over these files."""
    (_, first), (_, last) = job[0], job[-1]
    named = f"reading {first}" if len(job) == 1 else f"reading one of {len(job)} files, {first} to {last}"
    return f"It was {named}. Lower prepare.workers or prepare.max_pixels if memory is short, then run again."


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
