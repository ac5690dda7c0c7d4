"""Tune and train on a Ray cluster: the same bytes as on one machine, whatever is killed."""

import os
import signal
import time
from pathlib import Path

import pytest
import yaml

from tests.support import clusters
from tests.support.sites import Site

pytest.importorskip("ray", reason="`uv sync` installs it with the group dev")
pytestmark = pytest.mark.slow
STEPS = [(stage, name) for name in ("finetune", "scratch") for stage in ("tune", "train")]


@pytest.fixture(scope="module")
def nodes():
    with clusters.two_nodes() as made:
        yield made


def few(params):
    for name in params["enabled"]:
        params["strategies"][name]["trials"] = 6
    params["train"]["seeds"] = [1, 2, 3]
    return params


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """A site in which one process did it all."""
    site = Site.make(tmp_path_factory.mktemp("cluster") / "local", few)
    for step in STEPS:
        site.run(*step)
    return site


@pytest.fixture
def site(local, nodes, tmp_path):
    """The same images and params, but for the cluster."""
    copy = local.copy(tmp_path / "site")
    params = {**copy.params, "cluster": {"executor": "ray", "address": nodes.address}}
    params["search"]["workers"] = "auto"
    (copy.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    return copy


def same(site, local):
    """Check that a site ends as the local one did; return true."""
    assert site.results() == {name: data for name, data in local.results().items() if "results/data" not in name}
    assert site.models() == local.models()
    assert site.runs() == local.runs()
    assert list(site.trials().values()) == list(local.trials().values())
    return True


def workers():
    """Return the processes of Ray that train."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and (process / "cmdline").read_text().startswith("ray::Worker.do"):
                found.append(int(process.name))
        except OSError:
            continue  # it has ended
    return found


def test_a_cluster_gives_the_bytes_of_one_machine(site, local):
    for step in STEPS:
        site.run(*step)
    assert same(site, local)


def test_workers_that_are_killed_lose_nothing(site, local):
    killed = 0
    for step in STEPS:
        started, units = site.start(*step), len(site.units())
        while started.process.poll() is None:
            if len(site.units()) > units + 1 and (found := workers()) and killed < 8:
                os.kill(found[0], signal.SIGKILL)
                killed, units = killed + 1, len(site.units())
            time.sleep(0.02)
        assert started.wait() == 0, started.said()[-3000:]
    assert killed >= 4
    assert same(site, local)


def test_a_node_that_is_lost_in_mid_study_loses_nothing(site, local, nodes):
    for step in STEPS:
        started, units = site.start(*step), len(site.units())
        started.until(lambda seen=units: len(site.units()) > seen + 1)
        (other,) = nodes.worker_nodes
        nodes.remove_node(other, allow_graceful=False)
        nodes.add_node(**clusters.NODE)
        assert started.wait() == 0, started.said()[-3000:]
    assert same(site, local)


def test_a_coordinator_that_is_killed_goes_on_when_it_is_started_again(site, local):
    for step in STEPS:
        started, units = site.start(*step), len(site.units())
        started.until(lambda seen=units: len(site.units()) > seen + 1)
        os.killpg(started.process.pid, signal.SIGKILL)
        started.wait()
        site.run(*step)
    assert same(site, local)
