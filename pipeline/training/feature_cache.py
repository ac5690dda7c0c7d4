"""Run a stem once over each view of each image, and keep what came out: content-addressed, memory-mapped."""

import io
import math
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import timm
import torch
from torch import nn

from pipeline.common.code_digest import code_digest
from pipeline.common.errors import UserError
from pipeline.common.files import atomic
from pipeline.common.hashes import digest
from pipeline.common.lru_store import Store, reserve, shown
from pipeline.data.image_set import ImageSet
from pipeline.training.feature_pass import HalfOverflowError, Pixels, Progress, fill, shapes, storage, weights_digest


class Cached:
    """A stem's activations from memory-mapped files: one array (images, ...) per view."""

    def __init__(self, activations: list[np.ndarray]) -> None:
        self.activations, self.views = activations, len(activations)

    def take(self, rows: np.ndarray, views: np.ndarray) -> torch.Tensor:
        """Return float32 (N, ...)."""
        batch = np.empty((len(rows), *self.activations[0].shape[1:]), np.float32)
        for number in np.unique(views):
            chosen = views == number
            batch[chosen] = self.activations[number][rows[chosen]]
        return torch.from_numpy(batch)


def cached(
    stages: Sequence[nn.Module],
    cut: int,
    images: ImageSet,
    views: tuple[str, ...],
    cache: Path,
    device: torch.device,
    progress: Progress = lambda done: None,
    also: Sequence[int] = (),
    *,
    limit: int | None = None,
    label: str = "stem",
) -> Cached:
    """Return what the first `cut` stages make of every view of every image, computing only what the cache lacks.

    A pass that is needed also keeps what it makes at the cuts in `also`, which others will ask for, as far as there
    is room. A file's name is `label`, for people, and a hash of all that determines its content. Each view is a file
    of its own, so that views can be added later. Files used least recently make room where the cache would grow
    over `limit` bytes; raise UserError before a pass where what this call needs is more, or more than the disk has.
    """
    store = Store(cache, limit)
    cuts = sorted({cut, *also} - {0})
    names = keys(stages[: cuts[-1]], cuts, images, views, device)
    paths = {
        view: {at: cache / f"{_slug(label)}.cut{at}.{view}.{names[view, at]}.npy" for at in cuts} for view in views
    }
    request = _Request(stages, cut, images, paths, device, store)
    return Cached([request.view(view, progress) for view in views])


class _Request:
    """What one call asks for: one file for each view at its cut, and more at other cuts where there is room."""

    def __init__(
        self,
        stages: Sequence[nn.Module],
        cut: int,
        images: ImageSet,
        paths: dict[str, dict[int, Path]],
        device: torch.device,
        store: Store,
    ) -> None:
        self.stages, self.cut, self.images, self.paths = stages, cut, images, paths
        self.device, self.store = device, store

    def view(self, view: str, progress: Progress) -> np.ndarray:
        """Return the map of one view, computed if need be, by one process alone."""
        path = self.paths[view][self.cut]
        array = _opened(path, len(self.images.images))
        if array is None:
            self.store.sweep()
            with self.store.claim(self.paths[view].values()):
                array = _opened(path, len(self.images.images))  # another process may have made it meanwhile
                if array is None:
                    array = self._computed(view, progress)
        self.store.touch(path)
        return array

    def _computed(self, view: str, progress: Progress) -> np.ndarray:
        for path in self.paths[view].values():
            if _opened(path, len(self.images.images)) is None:
                path.unlink(missing_ok=True)  # damaged
        pixels = Pixels(self.images.images, (view,))
        made = shapes(self.stages[: max(self.paths[view])], pixels, self.device)
        single: set[int] = set()
        while True:
            arrays = {at: _Array(made[at], storage(made[at], at in single)) for at in self.paths[view]}
            wanted, keep = self._affordable({at: array.size for at, array in arrays.items()})
            lacking = {at: arrays[at] for at in wanted if not self.paths[view][at].exists()}
            try:
                return self._write(view, lacking, keep, pixels, progress)
            except HalfOverflowError as error:
                single |= error.cuts

    def _write(
        self, view: str, lacking: "dict[int, _Array]", keep: set[Path], pixels: Pixels, progress: Progress
    ) -> np.ndarray:
        stem = nn.ModuleList(self.stages[: max(lacking)]).to(self.device).eval()
        with ExitStack() as files:
            with self.store.room(sum(array.size for array in lacking.values()), keep):
                temporary = {at: files.enter_context(atomic(self.paths[view][at])) for at in lacking}
                maps = {at: array.create(temporary[at]) for at, array in lacking.items()}
            fill(maps, stem, pixels, self.device, progress)
            for array in maps.values():
                array.flush()
            return _mapped(temporary[self.cut])  # before others can evict it

    def _affordable(self, sizes: dict[int, int]) -> tuple[list[int], set[Path]]:
        """Return the cuts to keep, and their files; raise UserError where there is no room for the cut asked for.

        Deep cuts come first: they are small, and cost most to compute again.
        """
        keep = set(self._files(self.cut))
        limit, disk = self.store.available(keep)
        lacking = sizes[self.cut] * sum(not path.exists() for path in keep)
        if lacking > min(limit, disk):
            raise self._too_big(sizes[self.cut] * len(keep), lacking, limit, disk)
        spare, cuts = min(limit, disk) - lacking, [self.cut]
        for at in sorted(sizes.keys() - {self.cut}, reverse=True):
            if (cost := sizes[at] * len(self.paths)) <= spare:
                spare, cuts, keep = spare - cost, [*cuts, at], keep | set(self._files(at))
        return sorted(cuts), keep

    def _files(self, at: int) -> list[Path]:
        return [paths[at] for paths in self.paths.values()]

    def _too_big(self, whole: int, lacking: int, limit: int, disk: int) -> UserError:
        what = f"features of {len(self.images.images)} images in {len(self.paths)} view(s) at cut {self.cut}"
        less = "a later cut, fewer features.views, or a smaller image_size"
        if limit < disk:
            allowed = shown(self.store.limit or 0)
            return UserError(
                f"{what} need {shown(whole)}, and the cache may hold {allowed}; raise features.cache_gb, or take {less}"
            )
        return UserError(
            f"{self.store.folder}: {what} need {shown(lacking)}, and the disk has {shown(disk)} to give; "
            f"free space on it, or take {less}"
        )


@dataclass(frozen=True)
class _Array:
    """A file to be: shape (images, ...) and type of number."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def header(self) -> bytes:
        """Return what an .npy file begins with."""
        file = io.BytesIO()
        descr = np.lib.format.dtype_to_descr(self.dtype)
        np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": self.shape})
        return file.getvalue()

    @property
    def size(self) -> int:
        """Return the size of the whole file in bytes."""
        return len(self.header) + math.prod(self.shape) * self.dtype.itemsize

    def create(self, path: Path) -> np.memmap:
        """Make the file, with room on the disk for all of it, and map it."""
        header = self.header
        reserve(path, header, self.size - len(header))
        return np.memmap(path, self.dtype, "r+", len(header), self.shape)


def _opened(path: Path, count: int) -> np.ndarray | None:
    """Return the array in a file of the cache, or None where it is missing or damaged; it has `count` images."""
    try:
        array = _mapped(path)
    except Exception:  # numpy reads a damaged header as Python, and raises whatever that raises
        return None
    known = array.ndim > 1 and len(array) == count and array.dtype in (np.float16, np.float32)
    # The header may be damaged so that it reads well: then it does not account for every byte, or for their order.
    whole = path.stat().st_size == array.offset + array.nbytes and array.flags.c_contiguous
    return array if known and whole else None


def _mapped(path: Path) -> np.memmap:
    return np.lib.format.open_memmap(path, "r")


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "-", text)


def keys(
    stem: Sequence[nn.Module], cuts: Sequence[int], images: ImageSet, views: Sequence[str], device: torch.device
) -> dict[tuple[str, int], str]:
    """Return, for each view and cut, a hash of all that determines the activations."""
    digests = [weights_digest(stage) for stage in stem]
    common = {
        "images": images.digest,
        "device": device.type,
        "threads": torch.get_num_threads(),
        "precision": torch.get_float32_matmul_precision(),
        "versions": [torch.__version__, timm.__version__],
        "code": code_digest("features"),
    }
    return {(view, at): digest({**common, "stem": digests[:at], "view": view}) for view in views for at in cuts}
