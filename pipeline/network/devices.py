"""How a network runs on a device: precision, memory layout, and how much at once."""

import ctypes
import os
from contextlib import suppress
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

Precision = Literal["float32", "bf16"]
AT_ONCE = 64  # images, unless memory requires fewer
# Bytes of any of their feature maps. On a CPU they should stay in its cache: of EfficientNet-Lite0 at 224 px, 64 images
# at once take 2.0 times the CPU time of two at once.
LARGEST = {"cpu": 12 * 2**20, "cuda": 2**30}


def running(device: torch.device, precision: Precision) -> torch.autocast:
    """Return a context in which networks compute products and convolutions at the precision."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def keep_memory() -> None:
    """Make glibc keep freed memory for the next step, instead of returning it and getting it zeroed again.

    Training allocates the same feature maps in every step. Other C libraries are left alone.
    """
    trim_threshold, mmap_threshold = -1, -3  # of malloc.h
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(mmap_threshold, 2**30)
        library.mallopt(trim_threshold, 2**31 - 1)


def visible_gpus() -> list[str]:
    """Return the CUDA devices that this process sees, as CUDA_VISIBLE_DEVICES names them."""
    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return named[:count] if len(named) >= count else [str(number) for number in range(count)]


def on_device(x: Tensor, device: torch.device) -> Tensor:
    """Move x to a device; maps (N, C, H, W) on CUDA become channels last, which convolutions prefer there."""
    if device.type == "cuda" and x.ndim == 4:
        return x.to(device, memory_format=torch.channels_last)
    return x.to(device)


def fits(size: int, device: torch.device) -> bool:
    """Say whether `size` bytes are at most half of a CUDA device's free memory; always False on other devices."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return 2 * size <= int(free)


def images_at_once(module: nn.Module, one: Tensor) -> int:
    """Return the batch size for inference with a module: 64, halved until no feature map is too large.

    `one` is a single input (1, ...). The free memory does not matter, so that results do not depend on it.
    """
    with torch.inference_mode(), _Largest() as seen:
        module(one)
    count, largest = AT_ONCE, max(seen.bytes, one.nbytes)
    while count > 1 and count * largest > LARGEST.get(one.device.type, LARGEST["cpu"]):
        count //= 2
    return count


class _Largest(TorchDispatchMode):
    """Within this context, record the size of the largest tensor that an operation returns."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the operation."""
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor):
            self.bytes = max(self.bytes, out.nbytes)
        return out
