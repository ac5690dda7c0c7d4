import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.common.errors import UserError
from pipeline.execution.jobs import Job, executor, is_shared, open_context, run
from pipeline.execution.local_executor import LocalExecutor
from pipeline.execution.shared_training import LostRankError, SharedTraining
from pipeline.training.ranks import current
from pipeline.training.run_context import unit_folder
from pipeline.training.unit import STATE, timing
from tests.common.test_process_pool import running
from tests.support.imports import ROOT
from tests.support.kinds import recipe
from tests.support.units import FEATURES, RUNTIME

# Without what each process draws for itself; and at a rate at which a rounding does not grow: at ten times this one,
# weights that differ by 1e-7 to begin with give losses that differ by 0.4 % after three epochs.
SCRATCH = recipe("scratch", dropout=0, shift=0, rotation=0, epochs=4, learning_rate=0.0003)
PARTIAL = recipe("partial", mixup=0, epochs=3, learning_rate=0.0003)


def make(prepared, work, devices=2, test=None, **wanted):
    runtime = RUNTIME.model_copy(update={"devices": devices, **wanted})
    return partial(open_context, prepared.dev, test, work, 0.2, FEATURES, runtime)


def job(recipe, until=None, number=0):
    return Job((number,), (recipe,), 1, until or recipe.epochs)


@pytest.fixture(scope="module")
def shared(prepared, tmp_path_factory):
    """A context, and an executor of jobs that two processes share."""
    work = tmp_path_factory.mktemp("shared")
    make_context = make(prepared, work, test=prepared.test)
    context = make_context()
    with executor(1, make_context, context) as made:
        yield context, made


@pytest.fixture(scope="module")
def alone(prepared, tmp_path_factory):
    return make(prepared, tmp_path_factory.mktemp("alone"), devices=1, test=prepared.test)()


def assert_alike(one, other):
    assert [epoch.train_loss for epoch in one.epochs] == pytest.approx([e.train_loss for e in other.epochs], rel=1e-4)
    for part in ("valid", "test"):
        found, expected = getattr(one, part), getattr(other, part)
        assert found["rows"] == expected["rows"]
        np.testing.assert_allclose(found["probabilities"], expected["probabilities"], atol=1e-4)
    assert one.cost == other.cost


@pytest.mark.parametrize("wanted", [SCRATCH, PARTIAL], ids=["scratch", "partial"])
def test_a_unit_that_two_processes_share_is_the_unit_of_one(shared, alone, wanted):
    context, both = shared
    heard = []
    ((outcome,),) = both.map([job(wanted)], lambda *event: heard.append(event))
    (expected,) = run(job(wanted), alone, lambda *event: None)
    assert_alike(outcome, expected)
    assert [event[2].number for event in heard if event[0] == "epoch"] == [epoch.number for epoch in outcome.epochs]
    folder, other = (unit_folder(wanted, each.run_context, 1) for each in (context, alone))
    assert folder.name != other.name
    assert sorted(p.name for p in folder.iterdir()) == sorted(p.name for p in other.iterdir())
    assert timing(wanted, context.run_context, 1)["cpu_seconds"] > 0
    assert both.map([job(wanted)]) == [[outcome]]  # which is read back


def test_a_head_on_fixed_features_is_trained_by_one_process_to_the_same_bytes(shared, alone):
    context, both = shared
    frozen = recipe("frozen")
    assert not is_shared(job(frozen), context)
    (found,) = both.map([job(frozen)])
    assert found == run(job(frozen), alone, lambda *event: None)
    assert unit_folder(frozen, context.run_context, 1).name == unit_folder(frozen, alone.run_context, 1).name


@pytest.mark.slow
def test_a_unit_goes_on_from_an_earlier_epoch_to_what_it_is_at_a_stretch(shared, prepared, tmp_path):
    context, both = shared
    wanted = recipe("scratch", epochs=3)
    both.map([job(wanted, until=1)])
    folder = unit_folder(wanted, context.run_context, 1)
    assert (folder / STATE).exists()
    gone_on = both.map([job(wanted)])
    assert not (folder / STATE).exists()
    make_context = make(prepared, tmp_path, test=prepared.test)
    with executor(1, make_context, make_context()) as elsewhere:
        assert elsewhere.map([job(wanted)]) == gone_on


@pytest.mark.slow
def test_batches_that_are_too_small_to_share_are_named(prepared, tmp_path):
    make_context = make(prepared, tmp_path, devices=3)
    small = recipe("scratch", batch_size=2)
    said = pytest.raises(UserError, match=r"2 images cannot be shared by 3 devices: raise the batch_size")
    with executor(1, make_context, make_context()) as many, said:
        many.map([job(small)])


# What goes wrong


def own_rank():
    return {"rank": current().rank}


def always(job, context):
    return job != "alone"


def advise(job):
    return f"Job {job}: buy memory."


def behave(job, context, report):
    """Do as the job says, in the second process alone where it says so."""
    rank = context and context["rank"]
    if job == "pids":
        report("pid", os.getpid())
        return os.getpid()
    kind, _, mark = job.partition(" ")
    if rank == 1 and kind == "mistake":
        raise UserError("the file is missing")
    if rank == 1 and kind == "fault":
        raise ZeroDivisionError("ours")
    if rank == 1 and (kind == "die" or (kind == "once" and not Path(mark).exists())):
        if mark:
            Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if kind != "alone":
        current().total(torch.ones(1))  # each waits for the other
    return kind, rank


@pytest.fixture
def two():
    made = SharedTraining(2, own_rank, behave, always, advise)
    yield made
    made.close()


def pids(shared_training):
    return [process.pid for process in shared_training._ranks.values()]


def test_the_first_alone_is_heard_and_answers_and_work_alone_starts_no_process(two):
    heard = []
    assert two("alone", None, None) == ("alone", None)
    assert pids(two) == []
    first = two("pids", None, lambda *event: heard.append(event))
    assert heard == [("pid", first)]
    assert first == pids(two)[0]
    assert len(set(pids(two))) == 2
    assert two("fine", None, None) == ("fine", 0)


@pytest.mark.parametrize(("kind", "error", "said"), [
    ("mistake", UserError, "the file is missing"), ("fault", RuntimeError, "ours|Connection closed"),
    ("die", LostRankError, r"process 2 of 2 .* \(exit code -9; .*Job die: buy memory\.")])  # fmt: skip
def test_when_one_fails_none_is_left_waiting_and_the_next_job_starts_others(two, kind, error, said):
    two("pids", None, lambda *event: None)
    before = pids(two)
    with pytest.raises(error, match=f"(?s){said}"):
        two(kind, None, lambda *event: None)
    assert pids(two) == []
    assert not any(map(running, before))
    if kind == "die":
        assert two("fine", None, None) == ("fine", 0)


def test_a_process_that_was_lost_between_two_jobs_is_named(two):
    two("pids", None, lambda *event: None)
    os.kill(pids(two)[1], signal.SIGKILL)
    with pytest.raises(LostRankError, match="process 2 of 2"):
        two("fine", None, None)


def test_it_travels_without_its_processes(two):
    two("pids", None, lambda *event: None)
    copy = pickle.loads(pickle.dumps(SharedTraining(2, own_rank, behave, always, advise)))
    assert pids(copy) == []
    assert copy("alone", None, None) == ("alone", None)


def test_a_worker_process_starts_its_own_and_takes_them_with_it():
    work = SharedTraining(2, own_rank, behave, always, advise)
    heard = []
    with LocalExecutor(2, dict, work) as pool:
        assert pool.map(["pids"], lambda *event: heard.append(event[1])) == heard
        assert pids(work) == []
        assert running(heard[0])
    latest = time.monotonic() + 10
    while running(heard[0]):
        assert time.monotonic() < latest
        time.sleep(0.05)


KILLED = """
import sys, time
from functools import partial
from pathlib import Path
from pipeline.execution.jobs import executor
from tests.execution.test_shared_training import SCRATCH, job, make
from types import SimpleNamespace
import pipeline.training.unit as unit
if __name__ == "__main__":
    dev, work, mark = map(Path, sys.argv[1:])
    make_context = make(SimpleNamespace(dev=dev), work)
    with executor(1, make_context, make_context()) as both:
        def on_event(kind, number, what):
            if kind == "epoch" and what.number == 1:
                print(*[process.pid for process in both._work._ranks.values()], flush=True)
        print(both.map([job(SCRATCH)], on_event) and "done")
"""


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["coordinator", "first", "second"])
def test_whatever_is_killed_no_process_is_left_and_the_unit_is_done_again(victim, prepared, tmp_path, shared):
    script = tmp_path / "script.py"
    script.write_text(KILLED)

    def begin():
        return subprocess.Popen([sys.executable, str(script), str(prepared.dev), str(tmp_path / "work"), "-"],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip

    killed = begin()
    ranks = [int(pid) for pid in killed.stdout.readline().split()]
    assert len(ranks) == 2
    os.kill({"coordinator": killed.pid, "first": ranks[0], "second": ranks[1]}[victim], signal.SIGKILL)
    _, said = killed.communicate(timeout=60)
    assert killed.returncode == (-signal.SIGKILL if victim == "coordinator" else 1), said
    assert victim == "coordinator" or "that share a training died (exit code -9" in said
    latest = time.monotonic() + 10
    while any(map(running, ranks)):
        assert time.monotonic() < latest
        time.sleep(0.05)
    again = begin()
    assert again.communicate(timeout=200)[0].endswith("done\n")
    context = make(prepared, tmp_path / "work")()
    (outcome,) = run(job(SCRATCH), context, lambda *event: None)  # read back
    ((expected,),) = shared[1].map([job(SCRATCH)])
    assert outcome == replace(expected, test={}, valid={})


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices: NCCL is not tried here")
def test_two_gpus_learn_what_one_does(prepared, tmp_path):
    found = []
    for devices in (1, 2):
        make_context = make(prepared, tmp_path, devices, prepared.test, device="cuda", precision="float32")
        with executor(1, make_context, make_context()) as made:
            found.append(made.map([job(PARTIAL)])[0][0])
    np.testing.assert_allclose(found[1].test["probabilities"], found[0].test["probabilities"], atol=1e-2)
