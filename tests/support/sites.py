"""Folders in which stages run as dvc.yaml runs them, each in a process of its own, and what they hold afterwards."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import yaml
from mlflow import MlflowClient

from tests.conftest import lay_out_images
from tests.smoke import shrink
from tests.support.imports import ROOT
from tests.support.processes import hear_ctrl_c

DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
Params = dict[str, Any]
TIMEOUT = 300.0  # seconds; the machine may be busy with others' work

# Every process started in a site, workers too, writes its stack to a file when it gets SIGUSR1.
LOOKOUT = """
import faulthandler, os, signal
name = os.path.join(os.environ["STACKS"], str(os.getpid()))
faulthandler.register(signal.SIGUSR1, file=open(name + ".new", "w"))
os.rename(name + ".new", name)
"""


def little(params: Params) -> Params:
    """Return params for many short units: a strategy that uses cached features, a probe, rungs and pixels."""
    params = shrink(params)
    params["data"] |= {"name": "tiny", "path": "raw"}
    params["prepare"] |= {"stratify": ["camera"]}
    params["tracking"] |= {"experiment": "tiny"}
    params["train"] |= {"seeds": list(range(1, 7)), "fractions": [0.5, 1]}
    params["enabled"] = ["finetune", "scratch"]
    for name in params["enabled"]:
        row = params["strategies"][name]
        row |= {"trials": 16}
        row["recipe"] |= {"epochs": 3, "batch_size": 8, "backbone": "compact", "weights": "random"}
        row["space"].pop("backbone", None)
    del params["strategies"]["finetune"]["recipe"]["cut"]
    params["strategies"]["finetune"]["space"]["cut"] = {"choices": [2, 3]}
    return params


@dataclass(frozen=True)
class Site:
    """A folder with params.yaml and prepared images, outside of any repository."""

    root: Path

    @classmethod
    def make(cls, root: Path, change: Callable[[Params], Params] = lambda params: params) -> "Site":
        """Lay out images and prepare them, with `little` params that `change` has changed."""
        site = cls(root)
        lay_out_images(root / "raw", per_class=40)
        params = change(little(yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))))
        (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
        site.run("prepare")
        site.run("views")
        return site

    def copy(self, root: Path) -> "Site":
        """Return a site with the same images and params, in which nothing else has run."""
        root.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.root / "params.yaml", root)
        shutil.copytree(self.root / "data", root / "data")
        return Site(root)

    @property
    def params(self) -> Params:
        return yaml.safe_load((self.root / "params.yaml").read_text(encoding="utf-8"))

    @property
    def work(self) -> Path:
        return self.root / ".headstart"

    @property
    def stacks(self) -> Path:
        return self.root.with_name(f"{self.root.name}-stacks")

    def start(self, stage: str, strategy: str = "", **options: Any) -> "Started":
        """Start a stage in a session of its own, as `dvc repro` would."""
        self.stacks.mkdir(exist_ok=True)
        (self.stacks / "sitecustomize.py").write_text(LOOKOUT)
        command = DVC[stage].get("do", DVC[stage])["cmd"]
        words = shlex.split(command.replace("${key}", strategy).replace("${item}", strategy))
        log = self.root.with_name(f"{self.root.name}.log")  # outside, so that it can be read when the disk is full
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")},
            "PYTHONPATH": f"{self.stacks}:{ROOT}", "STACKS": str(self.stacks),
        }  # fmt: skip
        with log.open("w") as out:
            process = subprocess.Popen([sys.executable, *words[1:]], cwd=self.root, env=environment, stdout=out,
                                       stderr=out, start_new_session=True,
                                       preexec_fn=hear_ctrl_c, **options)  # fmt: skip
        return Started(process, log)

    def run(self, stage: str, strategy: str = "", code: int = 0, **options: Any) -> str:
        """Run a stage to its end; return what it printed."""
        started = self.start(stage, strategy, **options)
        found = started.wait()
        said = started.said()
        assert found == code, f"{stage} {strategy} ended with {found}:\n{said[-3000:]}"
        assert "Traceback" not in said, said[-3000:]
        return said

    def results(self) -> dict[str, bytes]:
        """Return what all files of results hold, but for timings and the page of what is known so far."""
        files = [p for p in (self.root / "results").rglob("*") if p.is_file() and "timings" not in p.parts]
        files = [p for p in files if p.name != "progress.html"]
        return {str(p.relative_to(self.root)): p.read_bytes() for p in files}

    def models(self) -> dict[str, bytes]:
        return {str(p.relative_to(self.root)): p.read_bytes() for p in (self.root / "models").rglob("*") if p.is_file()}

    def units(self) -> set[str]:
        """Return the finished units."""
        return {str(p.relative_to(self.root)) for p in self.work.glob("units/*/epoch-*.json")}

    def finished(self) -> dict[str, tuple[int, int]]:
        """Return inode and time of writing of every finished unit; of a feature file, whose time may say when it was
        read, the inode alone.
        """
        units = {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in self.work.glob("units/*/epoch-*.json")}
        features = {p: (p.stat().st_ino, 0) for p in self.work.glob("features/[!.]*.npy")}
        return {str(p.relative_to(self.root)): seen for p, seen in (units | features).items()}

    def trials(self) -> dict[str, list[Any]]:
        """Return the states of all trials by study, in order of number."""
        storage = optuna.storages.RDBStorage(f"sqlite:///{self.work / 'optuna.db'}")
        studies = storage.get_all_studies()
        return {s.study_name: [t.state for t in storage.get_all_trials(s._study_id)] for s in studies}

    def runs(self) -> list[tuple[str, str, str]]:
        """Return (parent's name, name, status) of every run of MLflow that is not deleted, sorted."""
        client = MlflowClient(f"sqlite:///{self.root / 'mlflow.db'}")
        found = client.search_runs([e.experiment_id for e in client.search_experiments()], max_results=5000)
        names = {run.info.run_id: run.info.run_name for run in found}
        parents = [names.get(run.data.tags.get("mlflow.parentRunId"), "") for run in found]
        return sorted((parent, run.info.run_name, run.info.status) for parent, run in zip(parents, found))


@dataclass(frozen=True)
class Started:
    """A stage that runs."""

    process: subprocess.Popen
    log: Path

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait(self, seconds: float = TIMEOUT) -> int:
        """Return the exit code; kill the stage and fail where it does not end in time."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise AssertionError(f"it hung for {seconds:.0f} s:\n{self.said()[-3000:]}") from None

    def until(self, seen: Callable[[], object], pause: float = 0.005) -> None:
        """Return once `seen` returns something true; fail where the stage ends before."""
        latest = time.monotonic() + TIMEOUT
        while not seen():
            assert self.process.poll() is None, f"it ended too early:\n{self.said()[-3000:]}"
            assert time.monotonic() < latest, "it was never seen"
            time.sleep(pause)

    def members(self) -> list[int]:
        """Return the ids of the stage's process and of all live Python processes that it started."""
        return [pid for pid in living(self.process.pid) if is_python(pid)]

    def cpu_seconds(self) -> float:
        """Return what the stage's live processes have used."""
        return sum(map(_cpu_seconds, living(self.process.pid)))


def living(session: int) -> list[int]:
    """Return the processes of a session that are no zombies."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields and int(fields[3]) == session and fields[0] not in "ZX":
                found.append(int(entry.name))
    return sorted(found)


def is_python(pid: int) -> bool:
    """Return whether a process runs our code, and is no helper such as git or multiprocessing's tracker."""
    try:
        command = (Path("/proc") / str(pid) / "cmdline").read_bytes()
    except OSError:
        return False
    return b"python" in command.split(b"\0")[0] and b"resource_tracker" not in command


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on; none where the process is gone."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return []


def _cpu_seconds(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0
