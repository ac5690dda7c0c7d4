"""Jobs on a real Ray cluster of two nodes, on this machine."""

import os
import re
import signal
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.common.errors import UserError
from pipeline.config.cluster import Cluster
from pipeline.execution.ray_executor import RayExecutor
from pipeline.execution.shared_training import SharedTraining
from pipeline.training.ranks import current
from tests.support import clusters

ray = pytest.importorskip("ray", reason="`uv sync` installs it with the group dev")
pytestmark = pytest.mark.slow


def context(base):
    return {"base": base}


def add(job, shared, report):
    report("seen", job)
    time.sleep(0.3)  # or the first worker would have done all before the second has begun
    return job + shared["base"], ray.get_runtime_context().get_node_id()


def misbehave(job, shared, report):
    """Fail in the way that the job says; to die once is to leave a mark first."""
    kind, _, mark = str(job).partition(" ")
    if kind == "mistake":
        raise UserError("the file is missing")
    if kind == "fault":
        raise ZeroDivisionError("ours")
    if kind == "die" or (kind == "once" and not Path(mark).exists()):
        if mark:
            Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "wait":
        Path(mark).touch()
        time.sleep(2)
    return job, ray.get_runtime_context().get_node_id()


class Stillborn:
    """An actor that does not live to be ready."""

    def __init__(self, *given):
        os.kill(os.getpid(), signal.SIGKILL)

    def ready(self):
        return "never"


@pytest.fixture(scope="module")
def nodes():
    with clusters.two_nodes() as made:
        yield made


@pytest.fixture
def run(nodes):
    """A function that makes an executor of work on the cluster."""
    return lambda work, workers="auto", devices=1, **more: RayExecutor(
        Cluster(executor="ray", address=nodes.address, **more), workers, partial(context, 100), work,
        lambda job: "Buy.", devices)  # fmt: skip


def test_results_come_in_the_order_of_the_jobs_from_all_nodes(run):
    heard = []
    with run(add) as executor:
        results = executor.map(range(20), lambda *event: heard.append(event))
        again = executor.map(range(3))
        assert executor.map([]) == []
    assert [value for value, _ in results] == list(range(100, 120))
    assert [value for value, _ in again] == [100, 101, 102]
    assert len({node for _, node in results}) == 2
    assert sorted(heard) == [("seen", number) for number in range(20)]


def test_no_more_jobs_are_held_than_asked_for(run):
    taken = []

    def jobs():
        for number in range(12):
            taken.append(number)
            yield number

    with run(add) as executor:
        for shown, (value, _) in enumerate(executor.stream(jobs(), ahead=3)):
            assert value == 100 + shown
            assert len(taken) <= shown + 5  # three, the one that is looked at, and the one that is shown


@pytest.mark.parametrize(("kind", "error", "said"), [("mistake", UserError, "the file is missing"),
                                                     ("fault", RuntimeError, "on node .*ours")])  # fmt: skip
def test_what_a_job_raises_is_raised_here(run, kind, error, said):
    with run(misbehave) as executor, pytest.raises(error, match=f"(?s){said}"):
        executor.map(["fine", kind])


def test_the_job_of_a_worker_that_dies_goes_on_elsewhere(run, tmp_path, capsys):
    with run(misbehave) as executor:
        results = executor.map(["a", f"once {tmp_path / 'mark'}", "b", "c"])
    assert [value for value, _ in results] == ["a", f"once {tmp_path / 'mark'}", "b", "c"]
    assert "goes on elsewhere" in capsys.readouterr().out


def test_a_job_that_kills_every_worker_is_given_up(run):
    with run(misbehave, retries=1) as executor, pytest.raises(UserError, match=r"lost 2 workers.*Buy\."):
        executor.map(["fine", "die"])


def test_what_ran_on_a_lost_node_runs_again_on_another(run, nodes, tmp_path):
    node = nodes.add_node(num_cpus=1)
    lost = node.node_id
    marks = [tmp_path / str(number) for number in range(6)]
    removed = False

    def on_started():
        nonlocal removed
        if not removed and sum(mark.exists() for mark in marks) >= 3:
            nodes.remove_node(node, allow_graceful=False)
            removed = True

    with run(misbehave, workers=3) as executor:
        ready = executor._ready
        executor._ready = lambda: (on_started(), ready())[1]
        results = executor.map([f"wait {mark}" for mark in marks])
    assert removed
    assert [value for value, _ in results] == [f"wait {mark}" for mark in marks]
    assert lost not in {node for _, node in results[3:]}


def test_without_an_address_no_cluster_that_runs_is_joined(nodes):
    theirs = {node.node_id for node in nodes.list_all_nodes()}
    with RayExecutor(Cluster(executor="ray"), 1, partial(context, 100), add) as executor:
        ((value, node),) = executor.map([1])
    assert value == 101
    assert node not in theirs


def test_workers_that_cannot_start_are_given_up(run):
    with run(add, retries=0) as executor:
        executor._actor = executor._ray.remote(num_cpus=1)(Stillborn)
        with pytest.raises(UserError, match="no worker can be started"):
            executor.map([1, 2])


def heavy(job, shared, report):
    report("seen", np.full(2**20, job, dtype=np.float64))
    return np.full(2**21, job, dtype=np.float64)  # 16 MiB


def test_more_results_than_the_object_store_holds_all_arrive(run):
    heard = []
    with run(heavy) as executor:
        results = executor.map(range(24), lambda kind, values: heard.append(values))  # all are held: 576 MiB
    assert sum(each.nbytes for each in results) > 4 * clusters.STORE
    assert [set(np.unique(each)) for each in results] == [{float(job)} for job in range(24)]
    assert sorted(float(each[0]) for each in heard) == list(range(24))


def share(job, context, report):
    """Have the second of two processes die the first time."""
    rank, mark = context["rank"], Path(job)
    if rank == 1 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    current().total(torch.ones(1))
    return rank


def own_rank():
    return {"rank": current().rank}


def always(job, context):
    return True


def test_a_unit_that_two_processes_share_goes_on_elsewhere_when_one_is_lost(run, tmp_path, capsys):
    work = SharedTraining(2, own_rank, share, always, str)
    with run(work, cpus=0.5, devices=2) as executor:
        assert executor.map([str(tmp_path / "mark")]) == [0]
    said = capsys.readouterr().out
    assert "goes on elsewhere" in said
    log = Path(re.search(r"its log there: (\S+)\)", said).group(1))
    assert log.is_file()


def seen_gpus(job, shared, report):
    time.sleep(0.3)
    return os.environ.get("CUDA_VISIBLE_DEVICES", "")


@pytest.mark.parametrize(("gpus", "devices", "workers", "seen"), [
    (1, 1, 2, {"0", "1"}), (0.5, 1, 4, {"0", "1"}), (1, 2, 1, {"0,1"})])  # fmt: skip
def test_units_share_gpus_or_have_several(gpus, devices, workers, seen, run, nodes):
    """Ray gives out what a node says it has; no unit here touches it."""
    node = nodes.add_node(num_cpus=1, num_gpus=2)
    try:
        with run(seen_gpus, gpus=gpus, cpus=0.25, devices=devices) as executor:
            assert executor._workers == workers
            found = executor.map(range(3 * workers))
    finally:
        nodes.remove_node(node)
    assert set(found) <= seen  # on a busy machine the first worker may have done all


def test_devices_that_share_a_unit_must_be_on_one_node(run):
    with pytest.raises(UserError, match=r"no node of the cluster has 2 CPUs"):
        run(add, devices=2)


def test_what_no_node_has_is_said(run):
    with pytest.raises(UserError, match=r"no node of the cluster has 1000 CPUs.*cluster\.cpus"):
        run(add, cpus=1000)


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9", "here"])
def test_an_address_where_no_cluster_is_is_named(address):
    with pytest.raises(UserError, match=rf"no Ray cluster at {address} \(cluster\.address\)"):
        RayExecutor(Cluster(executor="ray", address=address), 1, partial(context, 0), add)
