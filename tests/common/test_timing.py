import json
import os
import subprocess
import sys

import pytest

from pipeline.common.timing import Stopwatch, peak_memory
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
