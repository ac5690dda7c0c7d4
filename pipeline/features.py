"""Run a stem once over each view of each image, and keep what came out: content-addressed, memory-mapped."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pipeline.augment import apply_view
from pipeline.data import ImageSet
from pipeline.records import atomic, digest

VERSION = 1  # raise it when this file changes what is computed
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
    stem: nn.Sequential,
    images: ImageSet,
    views: tuple[str, ...],
    cache: Path,
    device: torch.device,
    progress: Progress = lambda done: None,
) -> Cached:
    """Return the stem's activations for every view of every image, computing only what the cache lacks.

    The file's name is a hash of all that determines its content: images, weights, structure, view, threads and
    device. Each view is a file of its own, so that views can be added later.
    """
    identity = {
        "images": images.digest,
        "stem": weights_digest(stem),
        "device": device.type,
        "threads": torch.get_num_threads(),
        "version": [VERSION, torch.__version__],
    }
    paths = [cache / f"{digest({**identity, 'view': view})}.npy" for view in views]
    for view, path in zip(views, paths):
        if not path.exists():
            _compute(stem, Pixels(images.images, (view,)), path, device, progress)
    return Cached([np.load(path, mmap_mode="r") for path in paths])


def _compute(stem: nn.Module, pixels: Pixels, path: Path, device: torch.device, progress: Progress) -> None:
    count = len(pixels.images)
    stem.to(device).eval()
    with atomic(path) as temporary, torch.inference_mode():
        array: np.memmap | None = None
        for start in range(0, count, BATCH):
            rows = np.arange(start, min(start + BATCH, count))
            out = stem(pixels.take(rows, np.zeros(len(rows), dtype=np.int64)).to(device)).cpu()
            if array is None:
                array = np.lib.format.open_memmap(temporary, "w+", _numpy_dtype(out), (count, *out.shape[1:]))
            array[rows] = out.to(_dtype(out)).numpy()
            progress(len(rows))
        assert array is not None, "an image set is never empty"
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
