"""Kill stages with SIGKILL at random moments, and check that each rerun goes on from what was finished."""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

from tests.support.sites import TIMEOUT, Site, Started, is_python, living

Job = tuple[str, str]  # stage, strategy
# Shares of kills meant for the start (imports, the opening of databases) and for what comes before the first new unit
# (reading back what is done); the others come after one.
EARLY, BEFORE = 0.15, 0.25
LINGER = 20.0  # seconds in which workers must notice that their coordinator is gone
FRAME = re.compile(r'File ".*/pipeline/(.+)\.py", line \d+ in (\S+)')
OUTERMOST = re.compile(r'in _run_module_as_main|File "<string>"')  # of a stage, of a worker


@dataclass(frozen=True)
class Span:
    """What a stage takes that nobody kills, in CPU-seconds."""

    start: float  # until its bar is drawn
    again: float  # from then on in a rerun, which reads back what is done
    unit: float  # for one unit


@dataclass(frozen=True)
class Kill:
    """One SIGKILL that hit a live process."""

    stage: str
    strategy: str
    victim: str  # coordinator or worker
    place: str  # the innermost function of ours that ran in the victim, or `imports`
    cpu_seconds: float  # used by the stage until then
    units: int  # finished at that moment


def measure(site: Site, jobs: Sequence[Job]) -> dict[Job, Span]:
    """Run jobs twice, undisturbed: the second time they only read back what is done."""
    spans = {}
    for job in jobs:
        before = len(site.units())
        _, work = _timed(site, job)
        start, again = _timed(site, job)
        spans[job] = Span(start, again, max(work - again, 0.1) / (len(site.units()) - before))
    return spans


def _timed(site: Site, job: Job) -> tuple[float, float]:
    """Run a job; return its CPU-seconds before its bar was drawn, and from then on."""
    before = _used()
    started = site.start(*job)
    started.until(lambda: at_work(started, job))
    start = started.cpu_seconds()
    code = started.wait()
    assert code == 0, started.said()[-3000:]
    return start, max(_used() - before - start, 0.1)


def _used() -> float:
    times = os.times()
    return times.children_user + times.children_system


def at_work(started: Started, job: Job) -> bool:
    """Return whether a stage has drawn its bar: all is imported and open."""
    return " ".join(job) in started.said()


def storm(site: Site, spans: dict[Job, Span], kills: int, random: Random) -> Iterator[Kill]:
    """Run jobs in order, each until it ends, and kill them `kills` times in all; yield each kill.

    Raise AssertionError where a stage hangs, prints a traceback, ends with an error that nobody caused, leaves
    workers behind, or writes something again that was finished.
    """
    left = kills
    for after, job in enumerate(spans, 1):
        share = left // (len(spans) - after + 1)
        for kill in islice(_attempts(site, job, spans[job], random, forever=after == len(spans)), share):
            left -= 1
            yield kill
        site.run(*job)


def _attempts(site: Site, job: Job, span: Span, random: Random, forever: bool) -> Iterator[Kill]:
    """Start a job and kill it, again and again; stop when it has ended on its own, unless `forever`."""
    before = site.finished()
    done = False
    while forever or not done:
        kill = _kill_once(site, job, _moment(site, job, span, random, done), random)
        after = site.finished()
        assert {name: after.get(name) for name in before} == before, "finished work was done again"
        before, done = after, done or not kill
        if kill:
            yield kill


def _moment(site: Site, job: Job, span: Span, random: Random, done: bool) -> Callable[[Started], bool]:
    """Draw a moment; return a function that says whether it has come."""
    kind, share = random.random(), random.random()
    if kind < EARLY:
        return lambda started: started.cpu_seconds() >= share * span.start
    if kind < EARLY + BEFORE or done:
        return _later(lambda started: at_work(started, job), share * span.again)
    known = site.units()
    return _later(lambda started: site.units() - known, 2 * share * span.unit)


def _later(event: Callable[[Started], object], seconds: float) -> Callable[[Started], bool]:
    """Return a function that says whether so many CPU-seconds have passed since an event."""
    seen: list[float] = []

    def come(started: Started) -> bool:
        if not seen and event(started):
            seen.append(started.cpu_seconds())
        return bool(seen) and started.cpu_seconds() >= seen[0] + seconds

    return come


def _kill_once(site: Site, job: Job, come: Callable[[Started], bool], random: Random) -> Kill | None:
    """Kill a job when its moment has come; return None where it ended before."""
    started = site.start(*job)
    latest = time.monotonic() + TIMEOUT
    while started.process.poll() is None and not come(started):
        assert time.monotonic() < latest, f"{job} hung:\n{started.said()[-3000:]}"
        time.sleep(0.002)
    members = started.members()
    if started.process.poll() is not None or not members:
        code = started.wait()
        assert code == 0, f"{job} ended with {code}:\n{started.said()[-3000:]}"
        return None
    begun, used, victim = at_work(started, job), started.cpu_seconds(), random.choice(members)
    place = _place(site.stacks / str(victim), victim) or ("exit" if begun else "imports")
    _send(victim, signal.SIGKILL)
    _check_end(started, victim == started.process.pid)
    role = "coordinator" if victim == started.process.pid else "worker"
    return Kill(*job, role, place, round(used, 2), len(site.units()))


def _check_end(started: Started, coordinator: bool) -> None:
    """Wait for a killed stage; workers end with their coordinator, and it says so where a worker was lost."""
    code = started.wait()
    said = started.said()
    assert "Traceback" not in said, said[-3000:]
    if coordinator:
        # As it exits Python gives SIGUSR1 back its default, which is to end; 0: the signal came too late.
        assert code in (-signal.SIGKILL, -signal.SIGUSR1, 0), f"killed, it ended with {code}:\n{said[-3000:]}"
    else:
        assert code in (0, 2), f"without a worker it ended with {code}:\n{said[-3000:]}"
        assert code == 0 or "error: " in said, said[-3000:]
    latest = time.monotonic() + LINGER
    while left := living(started.process.pid):
        assert time.monotonic() < latest, f"{len(left)} processes outlived their stage"
        time.sleep(0.05)


def _place(stack: Path, pid: int) -> str:
    """Return the innermost function of ours on a process's stack, or nothing."""
    if not stack.exists():
        return ""  # the interpreter itself is starting
    _send(pid, signal.SIGUSR1)
    latest = time.monotonic() + 1
    while not OUTERMOST.search(text := stack.read_text(encoding="utf-8", errors="replace")):
        if time.monotonic() > latest or not is_python(pid):
            break
        time.sleep(0.001)
    text = text.rpartition("hread 0x")[2]  # the main thread comes last
    frames = FRAME.findall(text)
    importing = "<frozen importlib" in text.partition("/pipeline/")[0]
    if not frames or (importing and frames[0][0].startswith("stages/")):
        return ""
    return ".".join(frames[0]) + (", importing" if importing else "")


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):  # it has just ended
        os.kill(pid, number)
