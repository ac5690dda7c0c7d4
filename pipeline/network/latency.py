"""Latency and size of an exported model."""

import gc
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import perf_counter_ns, process_time_ns
from typing import Any

import numpy as np
import torch
from PIL import Image

from pipeline.inference.classifier import Classifier

BATCHES = (1, 32)
FILES = ("model.json", "model.safetensors")  # all that `Classifier` reads
FEWEST, MOST = 3, 500  # calls


def measure(folder: Path, images: np.ndarray, threads: int, seconds: float = 3.0) -> dict[str, Any]:
    """Measure `latency_ms` ({"1": {"p50", "p95", "cpu", "calls"}, "32": ...}), `images_per_second` and `model_bytes`.

    It times the Classifier on the CPU as it is served, from the bytes of image files to a table, with so many threads.
    `cpu` is the median processor time of a call; if it is far below p50, other programs were using the machine.
    `images`, uint8 (N, H, W, C), are repeated to fill a batch. Each batch size takes about `seconds`, and at least
    four calls.
    """
    classifier = Classifier(folder)
    files = [_png(image) for image in images[: max(BATCHES)]]
    with _threads(threads), _no_collection():
        taken = {size: _timed(partial(classifier.predict, _repeated(files, size)), seconds) for size in BATCHES}
    latency = {str(size): _quantiles(calls) for size, calls in taken.items()}
    most = max(BATCHES)
    rate = 1000 * most / latency[str(most)]["p50"]
    return {"latency_ms": latency, "images_per_second": rate, "model_bytes": model_bytes(folder)}


def model_bytes(folder: Path) -> int:
    """Return the size of the files needed for serving, which is the same on every machine."""
    return sum((folder / name).stat().st_size for name in FILES)


def _timed(call: Callable[[], object], seconds: float) -> np.ndarray:
    """Time calls in nanoseconds (calls, 2), wall-clock and processor time; warm-up calls are left out."""
    _called(call, seconds / 10, fewest=1)
    return _called(call, seconds, FEWEST)


def _called(call: Callable[[], object], seconds: float, fewest: int) -> np.ndarray:
    taken: list[tuple[int, int]] = []
    end = perf_counter_ns() + seconds * 1e9
    while len(taken) < fewest or (len(taken) < MOST and perf_counter_ns() < end):
        start, cpu = perf_counter_ns(), process_time_ns()
        call()
        taken.append((perf_counter_ns() - start, process_time_ns() - cpu))
    return np.array(taken)


def _quantiles(nanoseconds: np.ndarray) -> dict[str, float]:
    """Return medians and the 95th percentile in ms; with fewer than 20 calls, the latter is the longest call."""
    wall_clock, cpu = nanoseconds.T / 1e6
    late = np.quantile(wall_clock, 0.95, method="higher")
    return {
        "p50": float(np.median(wall_clock)),
        "p95": float(late),
        "cpu": float(np.median(cpu)),
        "calls": len(wall_clock),
    }


def _png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image).save(file, "PNG")
    return file.getvalue()


def _repeated(files: Sequence[bytes], size: int) -> list[bytes]:
    return [files[i % len(files)] for i in range(size)]


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _no_collection() -> Iterator[None]:
    on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()
