"""Run a stem once over each view of each image, and keep what came out: content-addressed, memory-mapped."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pipeline.data import ImageSet
from pipeline.records import atomic, digest, source_digest
from pipeline.serving import apply_view

BATCH = 64
Progress = Callable[[int], object]


class Pixels:
    """Images straight from the packed file: the inputs of an empty stem."""

    def __init__(self, images: np.ndarray, views: tuple[str, ...]) -> None:
        self.images, self.names, self.views = images, views, len(views)

    def take(self, rows: np.ndarray, views: np.ndarray) -> torch.Tensor:
        """Return float (N, C, H, W) in [0, 255]."""
        pixels = torch.from_numpy(self.images[rows]).permute(0, 3, 1, 2)
        batch = torch.empty(pixels.shape)
        for number in np.unique(views):
            chosen = torch.from_numpy(np.flatnonzero(views == number))
            batch[chosen] = apply_view(pixels[chosen], self.names[number]).float()
        return batch


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


class Live:
    """A stem run anew for each batch: what `Cached` saves, kept to test it against."""

    def __init__(self, stem: nn.Module, pixels: Pixels) -> None:
        self.stem, self.pixels, self.views = stem.eval(), pixels, pixels.views

    def take(self, rows: np.ndarray, views: np.ndarray) -> torch.Tensor:
        """Return float32 (N, ...), rounded as the cache would."""
        with torch.inference_mode():
            out = self.stem(self.pixels.take(rows, views))
        return out.to(_dtype(out)).float().clone()


def cached(
    stages: Sequence[nn.Module],
    cut: int,
    images: ImageSet,
    views: tuple[str, ...],
    cache: Path,
    device: torch.device,
    progress: Progress = lambda done: None,
    also: Sequence[int] = (),
) -> Cached:
    """Return what the first `cut` stages make of every view of every image, computing only what the cache lacks.

    A pass that is needed also keeps what it makes at the cuts in `also`, which others will ask for. A file's name
    is a hash of all that determines its content: images, weights and structure of the stages, view, threads and
    device. Each view is a file of its own, so that views can be added later.
    """
    found = []
    for view in views:
        paths = {at: cache / f"{_key(stages[:at], images, view, device)}.npy" for at in {cut, *also} if at}
        if not paths[cut].exists():
            lacking = {at: path for at, path in paths.items() if not path.exists()}
            _compute(stages, lacking, Pixels(images.images, (view,)), device, progress)
        found.append(np.load(paths[cut], mmap_mode="r"))
    return Cached(found)


def _key(stem: Sequence[nn.Module], images: ImageSet, view: str, device: torch.device) -> str:
    identity = {
        "images": images.digest,
        "stem": [weights_digest(stage) for stage in stem],
        "view": view,
        "device": device.type,
        "threads": torch.get_num_threads(),
        "code": [source_digest(), torch.__version__],
    }
    return digest(identity)


def _compute(
    stages: Sequence[nn.Module], paths: dict[int, Path], pixels: Pixels, device: torch.device, progress: Progress
) -> None:
    """Run the stages once over all images, and write what comes out of those numbered in `paths`."""
    count, last = len(pixels.images), max(paths)
    stem = nn.ModuleList(stages[:last]).to(device).eval()
    arrays: dict[int, np.memmap] = {}
    with ExitStack() as files, torch.inference_mode():
        temporary = {at: files.enter_context(atomic(path)) for at, path in paths.items()}
        for start in range(0, count, BATCH):
            rows = np.arange(start, min(start + BATCH, count))
            out = pixels.take(rows, np.zeros(len(rows), dtype=np.int64)).to(device)
            for at, stage in enumerate(stem, 1):
                out = stage(out)
                if at in paths:
                    if at not in arrays:
                        shape = (count, *out.shape[1:])
                        arrays[at] = np.lib.format.open_memmap(temporary[at], "w+", _numpy_dtype(out), shape)
                    arrays[at][rows] = out.to(_dtype(out)).cpu().numpy()
            progress(len(rows))
        for array in arrays.values():
            array.flush()


def _dtype(activations: torch.Tensor) -> torch.dtype:
    """Return half precision for maps, where it halves what must be read, and single for pooled vectors."""
    return torch.float16 if activations.ndim == 4 else torch.float32


def _numpy_dtype(activations: torch.Tensor) -> type[np.floating]:
    return np.float16 if _dtype(activations) == torch.float16 else np.float32


def weights_digest(module: nn.Module) -> str:
    """Return a hash of a module's structure, parameters and buffers."""
    sha = hashlib.sha256(repr(module).encode())
    for name, tensor in sorted(module.state_dict().items()):
        sha.update(name.encode())
        sha.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()
