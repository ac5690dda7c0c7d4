"""How a network is run on a device: precision, memory layout, and what is kept on it."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
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
