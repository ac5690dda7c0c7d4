"""How a network is run on a device: precision, memory layout, and what is kept on it."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Literal

import torch
from torch import Tensor

from pipeline.convolution import FastConvolutions

Precision = Literal["float32", "bf16"]


@contextmanager
def running(device: torch.device, precision: Precision) -> Iterator[None]:
    """Run networks within this context: products and convolutions at the precision, CPU convolutions the fast way."""
    convolutions = FastConvolutions() if device.type == "cpu" else nullcontext()
    with convolutions, torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
        yield


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
