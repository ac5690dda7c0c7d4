import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from pipeline.common.errors import UserError
from pipeline.common.process_pool import Executor
from tests.support.imports import ROOT
from tests.support.processes import hear_ctrl_c

both = pytest.mark.parametrize("workers", [1, 3])


def context(base: int) -> dict[str, int]:
    return {"base": base, "pid": os.getpid()}


def add(job, shared, report):
    report("seen", job)
    return job + shared["base"], shared["pid"]


def misbehave(job, shared, report):
    if job == "mistake":
        raise UserError("the file is missing")
    if job == "fault":
        raise ZeroDivisionError("ours")
    if job == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if job == "sleep":
        time.sleep(600)
    return job


def die_in_worker():
    os.kill(os.getpid(), signal.SIGKILL)


def pids_of(executor):
    return [process.pid for process in executor._pool.values()]


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@both
def test_results_come_in_the_order_of_the_jobs(workers):
    with Executor(workers, partial(context, 100), add) as executor:
        results = executor.map(range(20))
        again = executor.map(range(3))
    assert [value for value, _ in results] == list(range(100, 120))
    assert [value for value, _ in again] == [100, 101, 102]
    assert len({pid for _, pid in results}) <= workers
    assert ({pid for _, pid in results} == {os.getpid()}) == (workers == 1)


@both
def test_what_jobs_report_is_heard(workers):
    heard = []
    with Executor(workers, partial(context, 0), add) as executor:
        executor.map(range(5), lambda *event: heard.append(event))
    assert sorted(heard) == [("seen", job) for job in range(5)]


@both
def test_no_jobs_give_no_results_and_start_nothing(workers):
    with Executor(workers, partial(context, 0), add) as executor:
        assert executor.map([]) == []
        assert pids_of(executor) == []


@both
def test_a_user_s_mistake_in_a_job_is_one_here(workers):
    with Executor(workers, partial(context, 0), misbehave) as executor, pytest.raises(UserError, match="is missing"):
        executor.map(["fine", "mistake", "fine"])


@pytest.mark.parametrize(("workers", "kind"), [(1, ZeroDivisionError), (2, RuntimeError)])
def test_a_fault_in_a_job_keeps_its_traceback(workers, kind):
    with Executor(workers, partial(context, 0), misbehave) as executor, pytest.raises(kind, match="ours"):
        executor.map(["fault"])


def test_a_worker_that_dies_is_named_and_takes_the_others_with_it():
    with Executor(2, partial(context, 0), misbehave) as executor:
        with pytest.raises(UserError, match=r"worker process died .*exit code -9; .*memory looks like\)\.$"):
            executor.map(["sleep", "die"])
        pids = pids_of(executor)
    assert len(pids) == 2
    assert not any(map(running, pids))


ORPHANS = """
import sys
from functools import partial
from tests.common.test_process_pool import context, misbehave
from pipeline.common.process_pool import Executor
if __name__ == "__main__":
    with Executor(2, partial(context, 0), misbehave) as executor:
        executor.map(["fine", "fine"])
        print(*[process.pid for process in executor._pool.values()], flush=True)
        executor.map(["sleep", "sleep"])
"""


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_worker_outlives_its_coordinator(sent, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(ORPHANS)
    coordinator = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
                                   preexec_fn=hear_ctrl_c)  # fmt: skip
    try:
        pids = [int(pid) for pid in coordinator.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(running, pids))
        coordinator.send_signal(sent)
        coordinator.wait(timeout=10)
    finally:
        coordinator.kill()
        coordinator.communicate()
    deadline = time.monotonic() + 10
    while any(map(running, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@both
def test_a_stream_gives_what_map_does_and_runs_ahead_of_its_reader_by_no_more_than_it_may(workers):
    asked = []

    def jobs():
        for job in range(30):
            asked.append(job)
            yield job

    with Executor(workers, partial(context, 100), add) as executor:
        for number, (value, _) in enumerate(executor.stream(jobs(), ahead=5)):
            assert value == 100 + number
            assert len(asked) <= number + 7
    assert asked == list(range(30))


def test_a_worker_that_died_between_two_jobs_is_reported_as_one_that_died_in_a_job():
    with Executor(2, partial(context, 0), add, advise=lambda job: f"Job {job}: buy memory.") as executor:
        executor.map(range(2))
        for pid in pids_of(executor):
            os.kill(pid, signal.SIGKILL)
        while any(map(running, pids_of(executor))):
            time.sleep(0.01)
        with pytest.raises(UserError, match=r"exit code -9; .* Job [01]: buy memory\."):
            executor.map(range(2))
