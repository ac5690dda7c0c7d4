"""What work takes on this machine: time, memory, and energy where there are counters.

These numbers belong to a machine and a moment, so they go to the timings, never to the comparison.
"""

import ctypes
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

ZONES = Path("/sys/class/powercap")
PERIOD = 20.0  # seconds between readings: at 1,000 W a RAPL counter starts anew every 65 s


class Stopwatch:
    """Measure a stage, its workers included: seconds, CPU-seconds, and the peak of resident memory."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), cpu_seconds()

    def read(self) -> dict[str, float]:
        """Return what has passed since the start."""
        return {
            "wall_seconds": time.perf_counter() - self._wall,
            "cpu_seconds": cpu_seconds() - self._cpu,
            "peak_memory_bytes": peak_memory(),
        }


def cpu_seconds() -> float:
    """Return what this process and its ended workers have used."""
    ended = os.times()
    return time.process_time() + ended.children_user + ended.children_system


def peak_memory(status: Path = Path("/proc/self/status")) -> int:
    """Return the most bytes held resident at once by one process: this one, or one it has started that has ended."""
    own = _high_water(status) or _maxrss(resource.RUSAGE_SELF)
    return max(own, _maxrss(resource.RUSAGE_CHILDREN))


def _high_water(status: Path) -> int | None:
    """Return this process's own peak, where Linux tells it: getrusage's starts from that of the process that forked."""
    with suppress(OSError, ValueError, IndexError):
        line = next((line for line in status.read_text().splitlines() if line.startswith("VmHWM:")), "")
        return int(line.split()[1]) * 1024
    return None


def _maxrss(who: int) -> int:
    return resource.getrusage(who).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


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
    import torch

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
