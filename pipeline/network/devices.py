"""How a network is run on a device: precision, memory layout, and what is kept on it."""

import ctypes
from contextlib import suppress
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

Precision = Literal["float32", "bf16"]
AT_ONCE = 64  # images, where memory does not ask for fewer
LARGEST = 2**30  # bytes of any map of theirs


def running(device: torch.device, precision: Precision) -> torch.autocast:
    """Return a context in which networks compute products and convolutions at the precision."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def keep_memory() -> None:
    """Let glibc keep freed memory for the next step, where it would hand it back and have it zeroed again.

    Training allocates the same maps in every step. Other C libraries are left as they are.
    """
    trim_threshold, mmap_threshold = -1, -3  # of malloc.h
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(mmap_threshold, 2**30)
        library.mallopt(trim_threshold, 2**31 - 1)


def on_device(x: Tensor, device: torch.device) -> Tensor:
    """Return x there; maps (N, C, H, W) on CUDA channels last, as its convolutions want them."""
    if device.type == "cuda" and x.ndim == 4:
        return x.to(device, memory_format=torch.channels_last)
    return x.to(device)


def fits(size: int, device: torch.device) -> bool:
    """Say whether so many bytes take at most half of a CUDA device's free memory; other devices gain nothing by it."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return 2 * size <= int(free)


def images_at_once(module: nn.Module, one: Tensor) -> int:
    """Return how many images to run a module on, without gradients: 64, or half as many until no map is too large.

    `one` is a single image (1, ...). It does not depend on the memory that is free, so that results do not.
    """
    with torch.inference_mode(), _Largest() as seen:
        module(one)
    count, largest = AT_ONCE, max(seen.bytes, one.nbytes)
    while count > 1 and count * largest > LARGEST:
        count //= 2
    return count


class _Largest(TorchDispatchMode):
    """Within this context, keep the size of the largest tensor that an operation returns."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the operation."""
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor):
            self.bytes = max(self.bytes, out.nbytes)
        return out
