"""Stages that are killed, interrupted, or lose their disk: a rerun goes on, and ends with the same bytes."""

import errno
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from tests.support.killing import Span, measure, storm
from tests.support.sites import Site, Started

pytestmark = pytest.mark.slow

TUNE, TRAIN = ("tune", "finetune"), ("train", "finetune")
KILLS = 20


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Site, dict]:
    """Return a site in which nobody disturbed tune and train, and what they took."""
    site = Site.make(tmp_path_factory.mktemp("crash") / "undisturbed")
    return site, measure(site, [TUNE, TRAIN])


@pytest.fixture(scope="module")
def undisturbed(measured) -> Site:
    return measured[0]


@pytest.fixture(scope="module")
def spans(measured) -> dict[tuple[str, str], Span]:
    return measured[1]


@pytest.fixture
def site(undisturbed, tmp_path) -> Site:
    return undisturbed.copy(tmp_path / "site")


def tuned(site: Site) -> dict[str, bytes]:
    return {name: data for name, data in site.results().items() if name.startswith("results/tune")}


def ended_well(site: Site) -> bool:
    """Check that the study and MLflow hold what they should; return true."""
    (states,) = site.trials().values()
    assert len(states) == site.params["strategies"]["finetune"]["trials"]
    assert all(state.is_finished() for state in states)
    runs = site.runs()
    assert {status for _, _, status in runs} == {"FINISHED"}
    assert len({(parent, name) for parent, name, _ in runs}) == len(runs), "a run is there twice"
    return True


def ended_in_a_sentence(started: Started, code: int) -> str:
    """Wait for an end that is no crash; return what was said."""
    found, said = started.wait(), started.said()
    assert "Traceback" not in said, said[-3000:]
    assert found == code, f"{found}:\n{said[-3000:]}"
    return said


def test_stages_killed_again_and_again_end_with_the_same_bytes(undisturbed, spans, site):
    kills = list(storm(site, spans, KILLS, Random(0)))
    assert len(kills) == KILLS
    assert len({kill.units for kill in kills}) > KILLS / 4, "they fell between few units"
    whole = {name: data for name, data in undisturbed.results().items() if "results/data" not in name}
    assert site.results() == whole
    assert site.models() == undisturbed.models()
    assert ended_well(site)
    assert site.runs() == undisturbed.runs()
    assert list(site.trials().values()) == list(undisturbed.trials().values())


def fewer_trials(params: dict) -> dict:
    """Return params whose searches are short: what is killed here is the race."""
    for name in params["enabled"]:
        params["strategies"][name]["trials"] = 2
    params["train"]["fractions"] = [0.5, 0.75, 1]
    return params


def test_a_race_killed_at_random_decides_the_same_and_ends_with_the_same_bytes(tmp_path):
    site = Site.make(tmp_path / "whole", fewer_trials)
    for name in ("finetune", "scratch"):
        site.run("tune", name)
        site.run("train", name)
    shutil.copytree(site.root, tmp_path / "killed")
    killed, random = Site(tmp_path / "killed"), Random(1)
    site.run("race")
    lost = 0
    for _ in range(6):
        goal = len(killed.units()) + random.randint(0, 2)
        started = killed.start("race")
        while started.process.poll() is None and len(killed.units()) < goal:
            time.sleep(0.005)
        time.sleep(random.random())
        if started.process.poll() is None:
            os.killpg(started.process.pid, signal.SIGKILL)
            lost += 1
        started.wait()
    assert lost
    killed.run("race")
    assert killed.results() == site.results()


def test_ctrl_c_ends_at_once_and_says_how_to_go_on(undisturbed, site):
    started = site.start(*TUNE)
    started.until(site.units)
    os.killpg(started.process.pid, signal.SIGINT)
    assert started.wait(5) == 130
    said = started.said()
    assert "Traceback" not in said, said[-3000:]
    assert "Continue with: uv run dvc repro" in said
    done = site.finished()
    site.run(*TUNE)
    assert {name: site.finished()[name] for name in done} == done
    assert tuned(site) == tuned(undisturbed)
    assert ended_well(site)


# A disk that fills up


@pytest.fixture
def disk(tmp_path) -> Iterator[Callable[[Path], None]]:
    """A function that mounts a small disk of its own on a folder."""
    mounted: list[Path] = []

    def mount(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder)], capture_output=True)
        if done.returncode:
            pytest.skip("mounting is not permitted here")
        mounted.append(folder)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Write a file until the disk is full; return it."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    return ballast


@pytest.mark.parametrize("full", ["work", "everything"])
def test_a_full_disk_ends_in_a_sentence_and_loses_nothing(full, undisturbed, disk, tmp_path):
    root = tmp_path / "site"
    disk({"work": root / ".headstart", "everything": root}[full])
    site = undisturbed.copy(root)
    started = site.start(*TUNE)
    started.until(site.units)
    ballast = fill(site.work if full == "work" else root)
    said = ended_in_a_sentence(started, 2)
    assert "error: " in said
    assert "space" in said
    assert len(said.partition("error: ")[2]) < 600
    before = site.finished()
    (told,) = site.trials().values()
    ballast.unlink()
    site.run(*TUNE)
    assert {name: site.finished()[name] for name in before} == before
    (states,) = site.trials().values()
    assert [s for s in told if s.is_finished()] == states[: sum(s.is_finished() for s in told)]
    assert tuned(site) == tuned(undisturbed)
    assert ended_well(site)


# What should not have been deleted


def test_a_work_folder_that_is_gone_is_made_again(undisturbed, site):
    site.run(*TUNE)
    shutil.rmtree(site.work)
    site.run(*TUNE)
    assert tuned(site) == tuned(undisturbed)
    assert ended_well(site)
    assert site.runs() == [run for run in undisturbed.runs() if " seed " not in run[1]]


def remove_study(site: Site) -> None:
    (site.work / "optuna.db").unlink()


def remove_work(site: Site) -> None:
    shutil.rmtree(site.work, ignore_errors=True)


def garble_study(site: Site) -> None:
    (site.work / "optuna.db").write_bytes(b"no database" * 1000)


def fix_study(site: Site) -> None:
    """Make the study's database read-only, for root too."""
    if subprocess.run(["chattr", "+i", str(site.work / "optuna.db")], capture_output=True).returncode:
        pytest.skip("chattr is not permitted here")


DAMAGE = {"no work folder": remove_work, "no study": remove_study, "no database": garble_study, "read-only": fix_study}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_in_mid_run_is_no_traceback_and_a_rerun_goes_on(what, undisturbed, site):
    started = site.start(*TUNE)
    try:
        started.until(site.units)
        DAMAGE[what](site)
        code, said = started.wait(), started.said()
    finally:
        subprocess.run(["chattr", "-i", str(site.work / "optuna.db")], capture_output=True)
    assert "Traceback" not in said, said[-3000:]
    assert code in (0, 2), said[-3000:]
    assert code == 0 or "optuna.db" in said.partition("error: ")[2] or str(site.work.name) in said, said[-3000:]
    if what == "no database":
        remove_study(site)
    site.run(*TUNE)
    assert tuned(site) == tuned(undisturbed)
    assert ended_well(site)
