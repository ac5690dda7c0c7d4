"""Felt cost: how long an exported model takes, how big it is, and the memory and energy that work took.

These numbers belong to a machine and a moment, so they go to the timings, never to the comparison.
"""

import ctypes
import gc
import io
import resource
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from time import perf_counter_ns, process_time_ns
from typing import Any, Self

import numpy as np
import torch
from PIL import Image

from pipeline.serving import Classifier

BATCHES = (1, 32)
FILES = ("model.json", "model.safetensors")  # all that `Classifier` reads
FEWEST, MOST = 3, 500  # calls
ZONES = Path("/sys/class/powercap")
PERIOD = 20.0  # seconds between readings: at 1,000 W a RAPL counter starts anew every 65 s

# Latency and size


def measure(folder: Path, images: np.ndarray, threads: int, seconds: float = 3.0) -> dict[str, Any]:
    """Return `latency_ms` ({"1": {"p50", "p95", "cpu", "calls"}, "32": ...}), `images_per_second` and `model_bytes`.

    What is timed is the served Classifier on the CPU, as serving runs it: from the bytes of image files to a table,
    with so many threads. `cpu` is the median processor time of a call: where it is far less than p50, others were
    using the machine. `images`, uint8 (N, H, W, C), are repeated to fill a batch. Each batch size takes about
    `seconds`, and four calls at least.
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
    """Return the size of the files that serving needs; it is the same on every machine."""
    return sum((folder / name).stat().st_size for name in FILES)


def _timed(call: Callable[[], object], seconds: float) -> np.ndarray:
    """Return nanoseconds (calls, 2), felt and of the processor; calls to warm up are left out."""
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
    """Return medians and the 95th percentile in ms; of fewer than 20 calls the latter is the longest."""
    felt, cpu = nanoseconds.T / 1e6
    late = np.quantile(felt, 0.95, method="higher")
    return {"p50": float(np.median(felt)), "p95": float(late), "cpu": float(np.median(cpu)), "calls": len(felt)}


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


# Memory


def peak_memory(status: Path = Path("/proc/self/status")) -> dict[str, int | None]:
    """Return the most bytes held at once by one process: `peak_memory_bytes` resident, `peak_cuda_bytes` by PyTorch.

    The processes are this one and those it has started that have ended: ask when the workers are gone. Memory on a
    CUDA device is that of this process alone, and None where it has used none.
    """
    own = _high_water(status) or _maxrss(resource.RUSAGE_SELF)
    cuda = torch.cuda.max_memory_allocated() if torch.cuda.is_initialized() else 0
    return {"peak_memory_bytes": max(own, _maxrss(resource.RUSAGE_CHILDREN)), "peak_cuda_bytes": cuda or None}


def _high_water(status: Path) -> int | None:
    """Return this process's own peak, where Linux tells it: getrusage's starts from that of the process that forked."""
    with suppress(OSError, ValueError, IndexError):
        line = next((line for line in status.read_text().splitlines() if line.startswith("VmHWM:")), "")
        return int(line.split()[1]) * 1024
    return None


def _maxrss(who: int) -> int:
    return resource.getrusage(who).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


# Energy


class Counter:
    """A register of energy that starts anew at its end: the joules since it was first read."""

    def __init__(self, name: str, read: Callable[[], int], joules: float, end: int) -> None:
        """Take `read`, which returns units of so many joules, below `end`, or raises OSError or ValueError."""
        self.name, self._read, self._unit, self._end = name, read, joules, end
        self._last = read()
        self.joules: float | None = 0.0

    def update(self) -> None:
        """Add what has passed since the last reading, which must be less than a whole turn; None once it fails."""
        try:
            now = self._read()
        except (OSError, ValueError):
            self.joules = None
        if self.joules is not None:
            self.joules += (now - self._last) % self._end * self._unit
            self._last = now


class Energy:
    """Count the joules that processors, memory and, if asked, the GPU take within this context, whoever uses them."""

    def __init__(self, gpu: bool = False, zones: Path = ZONES, period: float = PERIOD) -> None:
        """Read the counters every `period` seconds, so that none turns twice unseen."""
        self._gpu, self._zones, self._period = gpu, zones, period
        self._counters: list[Counter] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Self:
        self._counters = [*_rapl(self._zones), *(_nvml() if self._gpu else [])]
        if self._counters:
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        if self._counters:
            self._thread.join()
            self._update()

    def read(self) -> dict[str, Any]:
        """Return `energy_joules`, and `energy_of`, what was counted; None and nothing where no counter can be read."""
        known = {counter.name: counter.joules for counter in self._counters if counter.joules is not None}
        return {"energy_joules": sum(known.values()) if known else None, "energy_of": list(known)}

    def _follow(self) -> None:
        while not self._over.wait(self._period):
            self._update()

    def _update(self) -> None:
        for counter in self._counters:
            counter.update()


def _rapl(zones: Path) -> list[Counter]:
    """Return the counters of processors and of their memory; the zones within a processor are part of it."""
    found = []
    for zone in sorted(zones.glob("intel-rapl:*")):  # AMD's too; intel-rapl-mmio has the same ones again
        with suppress(OSError, ValueError):
            name = (zone / "name").read_text().strip()
            if name.startswith(("package", "dram")):
                end = _number(zone / "max_energy_range_uj")
                found.append(Counter(name, partial(_number, zone / "energy_uj"), 1e-6, end))
    return found


def _number(file: Path) -> int:
    return int(file.read_text())


def _nvml() -> list[Counter]:
    """Return the counter of the CUDA device in use; none without NVIDIA's library."""
    if not torch.cuda.is_available():
        return []
    with suppress(OSError, AttributeError):
        return _gpu_counter(ctypes.CDLL("libnvidia-ml.so.1"), f"GPU-{torch.cuda.get_device_properties(0).uuid}")
    return []


def _gpu_counter(library: Any, uuid: str) -> list[Counter]:
    """Return NVML's counter of millijoules, there since Volta. CUDA numbers devices otherwise: hence the UUID."""
    handle = ctypes.c_void_p()
    if library.nvmlInit_v2() or library.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(handle)):
        return []

    def read() -> int:
        millijoules = ctypes.c_ulonglong()
        if library.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules)):
            raise OSError("no energy counter")
        return millijoules.value

    with suppress(OSError):
        return [Counter("gpu", read, 1e-3, 2**64)]
    return []
