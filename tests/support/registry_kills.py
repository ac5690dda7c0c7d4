"""Kill what moves a champion with SIGKILL, mostly around its writes, and look whether the registry is whole.

What is killed runs in a fork of this process, which has everything imported: the kills fall on the work itself.
"""

import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import mlflow.store.model_registry.sqlalchemy_store
import mlflow.store.tracking.sqlalchemy_store  # noqa: F401  # here, so that no fork has to

from pipeline.commands.app import main as headstart
from pipeline.stages import register
from pipeline.tracking import by_hand, register_arms  # noqa: F401
from pipeline.tracking.client import KEY
from pipeline.tracking.promotion import Promotions
from pipeline.tracking.registry import Registry
from tests.support.sites import Params, Site

State = dict[str, Any]
PATIENCE = 300.0  # seconds


@dataclass(frozen=True)
class Scene:
    """Something that changes a registry, and the database that it starts from."""

    name: str
    root: Path  # with params.yaml and results
    database: Path
    run: Callable[[], int]


@dataclass(frozen=True)
class Kill:
    """A SIGKILL that hit a live process."""

    scene: str
    writes: int  # that had reached the database
    state: str  # in which the registry was left: before, after, or what is wrong
    rerun: str  # the same, of a rerun


def few(params: Params) -> Params:
    """Return params of two strategies that take no time, and a margin that lets each follow the other."""
    for name in params["enabled"]:
        params["strategies"][name] |= {"trials": 2, "rungs": []}
        params["strategies"][name]["recipe"]["epochs"] = 12  # better than the commonest class
    params["train"] |= {"seeds": [1, 2], "fractions": [1]}
    params["register"] |= {"margin": 0.9, "model": "tiny"}
    return params


def stage(root: Path, verdict: str) -> Callable[[], int]:
    """Return a function that runs stage register with a verdict."""
    results = root / "results"
    paths = {"comparison": results / "comparison.json", "verdict": results / verdict, "trained": results / "race",
             "test": root / "data/prepared/test", "models": root / "models", "cards": results / "cards",
             "out": results / "registry.json",
             "params": root / "params.yaml"}  # fmt: skip
    words = [str(word) for name, path in paths.items() for word in (f"--{name}", path)]
    return lambda: register.main(words)


def command(*words: str) -> Callable[[], int]:
    """Return a function that runs `headstart registry`."""
    return lambda: headstart(["registry", *words])


def scenes(folder: Path) -> list[Scene]:
    """Train two strategies; return what is done with them in the registry."""
    site = Site.make(folder, few)
    for name in site.params["enabled"]:
        site.run("tune", name)
        site.run("train", name)
    site.run("race")
    site.run("compare")
    verdict = json.loads((folder / "results/verdict.json").read_text())
    (other,) = set(site.params["enabled"]) - {verdict["recommended"]}
    (folder / "results/other.json").write_text(json.dumps(verdict | {"recommended": other}))
    bases = [folder / f"base-{number}" for number in range(3)]
    for base in bases:
        base.mkdir()
    shutil.copy(folder / "mlflow.db", bases[0])
    first = Scene("the first registration", folder, bases[0] / "mlflow.db", stage(folder, "verdict.json"))
    second = Scene("registration of another", folder, bases[1] / "mlflow.db", stage(folder, "other.json"))
    for scene, base in ((first, bases[1]), (second, bases[2])):
        shutil.copy(scene.database, base)
        assert forked(scene, base, scene.run) == 0
    aliases = forked(second, bases[2], lambda: state()["aliases"])
    assert aliases["champion"] == aliases[f"best-{other}"], (bases[2] / "said.txt").read_text()
    return [
        first,
        second,
        Scene("promote", folder, bases[1] / "mlflow.db", command("promote", f"best-{other}")),
        Scene("promote --force", folder, bases[1] / "mlflow.db", command("promote", f"best-{other}", "--force")),
        Scene(
            "rollback --from", folder, bases[2] / "mlflow.db", command("rollback", "--from", str(aliases["champion"]))
        ),
    ]


def start(scene: Scene, folder: Path, work: Callable[[], Any]) -> int:
    """Fork; do some work on the database in a folder, and write what it returns to a file there."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        with (folder / "said.txt").open("a") as said:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder / 'mlflow.db'}"
        os.chdir(scene.root)
        (folder / "found.json").write_text(json.dumps(work()))
        code = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(code)


def forked(scene: Scene, folder: Path, work: Callable[[], Any]) -> Any:
    """Do some work in a fork; return what it found."""
    (folder / "found.json").unlink(missing_ok=True)
    _, status = os.waitpid(start(scene, folder, work), 0)
    assert os.waitstatus_to_exitcode(status) == 0, (folder / "said.txt").read_text()[-3000:]
    return json.loads((folder / "found.json").read_text())


def state() -> State:
    """Return what the registry holds: versions with what they came from, aliases, history without its times."""
    registry = Registry(Path(), "tiny")
    history = Promotions(registry).history()
    return {
        "versions": {str(v.version): [v.strategy, v.data, v.tags.get(KEY)] for v in registry.versions()},
        "aliases": registry.aliases(),
        "history": [[e.action, e.version, e.before, e.said, e.numbers] for e in history],
    }


def writes(database: Path) -> Iterator[int]:
    """Yield how often a database has been written to so far, again and again."""
    seen, count = database.stat().st_mtime_ns, 0
    while True:
        now = database.stat().st_mtime_ns
        count, seen = count + (now != seen), now
        yield count


@dataclass(frozen=True)
class Undisturbed:
    """A registry before and after a scene, and how many writes and seconds it takes."""

    before: State
    after: State
    writes: int
    seconds: float

    @classmethod
    def of(cls, scene: Scene, folder: Path) -> "Undisturbed":
        fresh(scene, folder)
        before = forked(scene, folder, state)
        begun, pid = time.monotonic(), start(scene, folder, scene.run)
        written = writes(folder / "mlflow.db")
        while not os.waitpid(pid, os.WNOHANG)[0]:
            count = next(written)
            time.sleep(0.0005)
        return cls(before, forked(scene, folder, state), count, time.monotonic() - begun)

    def name(self, found: State) -> str:
        """Say whether a registry is as before, as after, or in between in a way that nobody wants."""
        sides = {"before": self.before, "after": self.after}
        name = next((name for name, side in sides.items() if _service(side) == _service(found)), "")
        if not name:
            return f"champion and history {_service(found)}"
        if not self.before["versions"].items() <= found["versions"].items() <= self.after["versions"].items():
            return f"versions {found['versions']}"
        allowed = {*self.before["aliases"].items(), *self.after["aliases"].items()}
        return name if set(found["aliases"].items()) <= allowed else f"aliases {found['aliases']}"


def _service(found: State) -> tuple[Any, Any]:
    return found["aliases"].get("champion"), found["history"]


def fresh(scene: Scene, folder: Path) -> None:
    """Put a scene's database into a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(scene.database, folder)


def kill_once(scene: Scene, expected: Undisturbed, folder: Path, random: Random) -> Kill | None:
    """Run a scene and kill it; look, run it again, and look again. Return None where it ended before the kill."""
    fresh(scene, folder)
    # After so many writes and a moment; one in five at any time, which is mostly while a clean process is asked.
    wanted, moment = random.randint(0, expected.writes), random.random() * 0.01
    latest = time.monotonic() + (random.random() * expected.seconds if random.random() < 0.2 else PATIENCE)
    pid = start(scene, folder, scene.run)
    for count in writes(folder / "mlflow.db"):
        if os.waitpid(pid, os.WNOHANG)[0]:
            return None
        if count >= wanted or time.monotonic() > latest:
            break
        time.sleep(0.0002)
    time.sleep(moment)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if not os.WIFSIGNALED(status):
        return None
    left = expected.name(forked(scene, folder, state))
    code = forked(scene, folder, scene.run)
    again = forked(scene, folder, state)
    rerun = "after" if again == expected.after else expected.name(again)
    return Kill(scene.name, count, left, rerun if code == 0 else f"exit code {code}")
