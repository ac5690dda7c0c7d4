"""Time and memory that work takes on this machine: they go to the timings, never to the comparison."""

import os
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path


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
