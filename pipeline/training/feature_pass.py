"""Run the stages before the cut: all that decides a feature's value, beside weights, pixels and libraries."""

import hashlib
from collections.abc import Callable, Container, Mapping, Sequence

import numpy as np
import torch
from torch import nn

from pipeline.inference.network import apply_view
from pipeline.network.devices import images_at_once, running

Progress = Callable[[int], object]
FIRST = np.zeros(1, dtype=np.int64)  # image, or view
_MOST = torch.finfo(torch.float16).max


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


class HalfOverflowError(Exception):
    """Some activations are past what half precision can hold."""

    def __init__(self, cuts: set[int]) -> None:
        super().__init__(cuts)
        self.cuts = cuts


def storage(shape: tuple[int, ...], single: bool = False) -> np.dtype:
    """Return half precision for maps (N, C, H, W), where it halves what must be read, and single for pooled vectors.

    With `single`, return single precision for maps too: some of their values do not fit.
    """
    return np.dtype(np.float16 if len(shape) == 4 and not single else np.float32)


def shapes(stages: Sequence[nn.Module], pixels: Pixels, device: torch.device) -> dict[int, tuple[int, ...]]:
    """Return the shapes (images, ...) that the stages make, from one image."""
    stem = nn.ModuleList(stages).to(device).eval()
    one = pixels.take(FIRST, FIRST).to(device)
    made = _run(stem, one, range(1, len(stem) + 1))
    return {at: (len(pixels.images), *out.shape[1:]) for at, out in made.items()}


def fill(
    maps: Mapping[int, np.ndarray], stem: nn.ModuleList, pixels: Pixels, device: torch.device, progress: Progress
) -> None:
    """Run the stages once over all images, and keep what comes out of those numbered in `maps`."""
    count, done = len(pixels.images), 0
    at_once = images_at_once(nn.Sequential(*stem), pixels.take(FIRST, FIRST).to(device))
    try:
        for start in range(0, count, at_once):
            rows = np.arange(start, min(start + at_once, count))
            made = _run(stem, pixels.take(rows, np.zeros_like(rows)).to(device), maps)
            over = {at for at, out in made.items() if maps[at].dtype == np.float16 and not _fits_half(out)}
            if over:
                raise HalfOverflowError(over)
            for at, out in made.items():
                maps[at][rows] = out.to(torch.float16 if maps[at].dtype == np.float16 else torch.float32).cpu().numpy()
            progress(len(rows))
            done += len(rows)
    except HalfOverflowError:
        progress(-done)  # they will be passed again
        raise


def _run(stem: nn.ModuleList, batch: torch.Tensor, cuts: Container[int]) -> dict[int, torch.Tensor]:
    made = {}
    with torch.inference_mode(), running(batch.device, "float32"):
        for at, stage in enumerate(stem, 1):
            batch = stage(batch)
            if at in cuts:
                made[at] = batch
    return made


def _fits_half(activations: torch.Tensor) -> bool:
    """Say whether no value would become infinite in half precision; what is infinite or no number does not fit."""
    if activations.is_contiguous(memory_format=torch.channels_last):
        activations = activations.permute(0, 2, 3, 1)  # many times faster to look through in the order of memory
    low, high = torch.aminmax(activations)
    return bool(low >= -_MOST) and bool(high <= _MOST)


def weights_digest(module: nn.Module) -> str:
    """Return a hash of a module's structure, parameters and buffers, and of their layout in memory.

    The layout counts because convolutions add up in another order when channels come last.
    """
    sha = hashlib.sha256(repr(module).encode())
    tensors = [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]
    for name, tensor in sorted(tensors, key=lambda pair: pair[0]):
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} {tensor.stride()}".encode())
        sha.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return sha.hexdigest()
