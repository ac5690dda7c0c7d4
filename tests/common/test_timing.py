import ctypes
import json
import os
import subprocess
import sys
import threading
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.common.timing import Counter, Energy, Stopwatch, _gpu_counter, peak_memory
from tests.support.imports import ROOT


def test_a_stopwatch_measures_time_work_and_memory():
    watch = Stopwatch()
    sum(range(200_000))
    first, second = watch.read(), watch.read()
    assert 0 < first["wall_seconds"] < second["wall_seconds"]
    assert 0 < first["cpu_seconds"] <= second["cpu_seconds"]
    assert 10 * 2**20 < first["peak_memory_bytes"] < 2**40


PEAK = """
import json, subprocess, sys
from pathlib import Path
from pipeline.common.timing import peak_memory

def take(megabytes):
    return f"held = bytearray({megabytes} * 2**20); held[::4096] = b'x' * len(held[::4096]); del held"

Path(sys.argv[1]).write_text("Name: x\\nVmHWM:    3 kB\\n")
found = [peak_memory(Path(sys.argv[1])), peak_memory()]
exec(take(200))
found.append(peak_memory())
subprocess.run([sys.executable, "-c", take(1200)], check=True)
found.append(peak_memory())
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def peaks(tmp_path_factory):
    """What a new process sees: by a made-up process table, then at once, after taking 200 MB, after a child's 1,200."""
    command = [sys.executable, "-c", PEAK, str(tmp_path_factory.mktemp("proc") / "status")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout)


def test_memory_that_was_given_back_counts(peaks):
    _, before, after, _ = peaks
    assert 2**20 < before < after - 150 * 2**20


def test_children_that_have_ended_count(peaks):
    assert peaks[-1] > max(1200 * 2**20, peaks[-2])


def test_the_process_table_is_believed_before_getrusage_which_counts_whoever_forked(peaks):
    assert peaks[0] < peaks[1]  # children forked by imports are left


def test_without_the_process_table_getrusage_is_asked(tmp_path):
    (tmp_path / "damaged").write_text("VmHWM: many kB\n")
    for file in (tmp_path / "damaged", tmp_path / "absent"):
        assert peak_memory(file) > 2**20


class Zones:
    """A folder such as /sys/class/powercap."""

    def __init__(self, root):
        self.root = root

    def add(self, zone, name, energy, end=1_000_000):
        folder = self.root / zone
        folder.mkdir()
        (folder / "name").write_text(f"{name}\n")
        (folder / "max_energy_range_uj").write_text(f"{end}\n")
        self.set(zone, energy)

    def set(self, zone, energy):
        (self.root / zone / "energy_uj").write_text(f"{energy}\n")


@pytest.fixture
def zones(tmp_path):
    return Zones(tmp_path)


def test_joules_are_what_a_counter_went_through_past_its_end_too(zones):
    zones.add("intel-rapl:0", "package-0", 900_000)
    with Energy(zones=zones.root) as energy:
        zones.set("intel-rapl:0", 400_000)
    assert energy.read() == {"energy_joules": pytest.approx(0.5), "energy_of": ["package-0"]}


def test_counters_that_turn_many_times_are_followed(zones):
    zones.add("intel-rapl:0", "package-0", 0)
    with Energy(zones=zones.root, period=0.001) as energy:
        counter = energy._counters[0]
        for step in range(1, 8):  # 2.8 turns
            (zones.root / "next").write_text(str(400_000 * step % 1_000_000))
            (zones.root / "next").rename(zones.root / "intel-rapl:0" / "energy_uj")
            while counter.joules < 0.4 * step - 0.01:
                threading.Event().wait(0.001)
    assert energy.read()["energy_joules"] == pytest.approx(2.8)


def test_processors_and_memory_are_added_and_their_parts_and_doubles_left_out(zones):
    zones.add("intel-rapl:0", "package-0", 0)
    zones.add("intel-rapl:0:0", "core", 0)
    zones.add("intel-rapl:0:1", "dram", 0)
    zones.add("intel-rapl:1", "package-1", 0)
    zones.add("intel-rapl:2", "psys", 0)
    zones.add("intel-rapl-mmio:0", "package-0", 0)
    with Energy(zones=zones.root) as energy:
        for zone in zones.root.iterdir():
            zones.set(zone.name, 100_000)
    assert energy.read() == {"energy_joules": pytest.approx(0.3), "energy_of": ["package-0", "dram", "package-1"]}


def test_no_counter_is_no_number(zones):
    with Energy(gpu=True, zones=zones.root / "absent") as energy:
        pass
    assert energy.read() == {"energy_joules": None, "energy_of": []}


@pytest.mark.parametrize("what", ["name", "max_energy_range_uj", "energy_uj"])
@pytest.mark.parametrize("how", ["absent", "empty", "folder"])
def test_what_cannot_be_read_is_no_number(zones, what, how):
    zones.add("intel-rapl:0", "package-0", 0)
    file = zones.root / "intel-rapl:0" / what
    file.unlink()
    if how == "empty":
        file.touch()
    if how == "folder":  # as root, everything else can be read
        file.mkdir()
    with Energy(zones=zones.root) as energy:
        pass
    assert energy.read() == {"energy_joules": None, "energy_of": []}


def test_a_counter_that_fails_half_way_is_no_number(zones):
    zones.add("intel-rapl:0", "package-0", 0)
    with Energy(zones=zones.root) as energy:
        (zones.root / "intel-rapl:0" / "energy_uj").unlink()
    assert energy.read()["energy_joules"] is None


def test_an_error_within_passes_through_and_no_thread_is_left(zones):
    zones.add("intel-rapl:0", "package-0", 0)
    before = threading.active_count()
    with suppress(ZeroDivisionError), Energy(zones=zones.root):
        assert threading.active_count() == before + 1
        seen = 1 / 0
    assert threading.active_count() == before
    assert "seen" not in locals()


@given(st.integers(0, 99), st.lists(st.integers(0, 99), max_size=9))
def test_a_counter_sums_steps_of_less_than_a_turn(start, steps):
    readings = iter(np.cumsum([start, *steps]) % 100)
    counter = Counter("any", lambda: int(next(readings)), 0.5, 100)
    for _ in steps:
        counter.update()
    assert counter.joules == sum(steps) / 2


class Library:
    """Speaks as libnvidia-ml does, of one device; there is none where tests run."""

    def __init__(self, fails=""):
        self.millijoules, self.fails = 5000, fails

    def nvmlInit_v2(self):  # noqa: N802
        return int(self.fails == "init")

    def nvmlDeviceGetHandleByUUID(self, uuid, handle):  # noqa: N802
        handle._obj.value = 7
        return int(uuid != b"GPU-12")

    def nvmlDeviceGetTotalEnergyConsumption(self, handle, found):  # noqa: N802
        assert (type(handle), handle.value) == (ctypes.c_void_p, 7)
        found._obj.value = self.millijoules
        return 3 * (self.fails == "energy")


def test_a_gpu_counts_in_millijoules():
    library = Library()
    (counter,) = _gpu_counter(library, "GPU-12")
    library.millijoules = 7500
    counter.update()
    assert counter.joules == 2.5


@pytest.mark.parametrize("library", [Library("init"), Library("energy")])
def test_a_gpu_without_a_counter_has_none(library):
    assert _gpu_counter(library, "GPU-12") == _gpu_counter(Library(), "GPU-13") == []
