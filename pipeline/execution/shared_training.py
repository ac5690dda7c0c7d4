"""Trainings that several processes share, a device each: start the processes, and end all of them when one ends."""

import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from pipeline.common.errors import UserError
from pipeline.common.process_pool import Report, Work, end, interrupted_later, start

GRACE = 5.0  # seconds in which it shows which process was lost, once the others have missed it


class LostRankError(UserError):
    """A process that shares a training died; what it had stored is there for whoever does the job again."""


class SharedTraining:
    """Do the jobs for which `is_shared(job, context)` in `size` processes at once, and all others here, with `work`.

    The processes start with the first such job. Each is given the job, and calls `work` with a context of its own; the
    first alone is heard, and its answer counts. What is sent to a worker process holds none of them: it starts its own.
    `close` ends them, and so does the end of the process that started them.

    They are processes of `process_pool`, and no agents of torchrun or workers of Ray Train: those bring a second way of
    starting, restarting and logging, and a store that listens on all interfaces (see `ranks.join`).
    """

    def __init__(
        self,
        size: int,
        make_context: Callable[[], Any],
        work: Work,
        is_shared: Callable[[Any, Any], bool],
        advise: Callable[[Any], str],
    ) -> None:
        self._arguments = size, make_context, work, is_shared, advise
        self._ranks: dict[Connection, Any] = {}  # our ends of the pipes, in order of rank -> processes
        self._folder: Path | None = None  # where they have met

    def __reduce__(self) -> Any:
        return SharedTraining, self._arguments

    def __call__(self, job: Any, context: Any, report: Report) -> Any:
        """Do a job; raise UserError as it does, and LostRankError if a process that shares it dies."""
        _, _, work, is_shared, _ = self._arguments
        if not is_shared(job, context):
            return work(job, context, report)
        try:
            return self._share(job, report)
        except BaseException:
            self.close()  # the others would wait for whoever failed
            raise

    def close(self) -> None:
        """Leave no process behind."""
        end(self._ranks)
        self._ranks = {}
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _share(self, job: Any, report: Report) -> Any:
        if not self._ranks:
            self._start()
        leader, results = next(iter(self._ranks)), dict[Connection, Any]()
        for each in self._ranks:
            self._send(each, job)
        while len(results) < len(self._ranks):
            for pipe in self._ready([pipe for pipe in self._ranks if pipe not in results]):
                kind, *content = self._receive(pipe, job)
                if kind == "event" and pipe is leader:
                    report(*content)
                elif kind == "done":
                    results[pipe] = content[1]
                elif kind == "mistake":
                    raise UserError(content[0])
                elif kind == "fault":
                    self._find_cause(pipe, job)
                    raise RuntimeError(content[0])
        return results[leader]

    def _start(self) -> None:
        size, make_context, work, _, _ = self._arguments
        self._folder = Path(tempfile.mkdtemp(prefix="headstart-ranks-"))
        for rank in range(size):
            meet = partial(_join_and_open, rank, size, self._folder / "meeting", make_context)
            with interrupted_later():
                pipe, process = start(meet, work)
                self._ranks[pipe] = process

    def _send(self, pipe: Any, job: Any) -> None:
        try:
            pipe.send((0, job))
        except OSError:
            raise self._lost(pipe, job) from None

    def _ready(self, pipes: list[Connection], seconds: float | None = None) -> list[Connection]:
        """Wait until something has come through some of the pipes; return those."""
        ready = wait(pipes, seconds)
        return [pipe for pipe in pipes if pipe in ready]

    def _receive(self, pipe: Any, job: Any) -> Any:
        try:
            return pipe.recv()
        except (EOFError, OSError):
            raise self._lost(pipe, job) from None

    def _find_cause(self, faulty: Connection, job: Any) -> None:
        """Raise what made another process fail, where one was lost, or made a mistake: all miss it at once."""
        others, latest = [pipe for pipe in self._ranks if pipe is not faulty], time.monotonic() + GRACE
        while others and (ready := self._ready(others, max(0.0, latest - time.monotonic()))):
            for pipe in ready:
                kind, *content = self._receive(pipe, job)
                if kind == "mistake":
                    raise UserError(content[0])
                if kind != "event":
                    others.remove(pipe)

    def _lost(self, pipe: Connection, job: Any) -> LostRankError:
        process, rank = self._ranks[pipe], list(self._ranks).index(pipe)
        process.join()
        return LostRankError(
            f"process {rank + 1} of {len(self._ranks)} that share a training died (exit code {process.exitcode}; -9 is "
            f"what running out of memory looks like). {self._arguments[-1](job)}".rstrip()
        )


def _join_and_open(rank: int, size: int, meeting: Path, make_context: Callable[[], Any]) -> Any:
    from pipeline.training.ranks import join

    join(rank, size, meeting)
    return make_context()
