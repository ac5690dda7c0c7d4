"""Do jobs in this process, or in worker processes of its own that end when it ends."""

import math
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any

from pipeline.common.errors import UserError

Report = Callable[..., object]  # called with what happens inside a job: arguments that can be pickled
Work = Callable[[Any, Any, Report], Any]  # job, context, report -> result


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Executor:
    """Do jobs in n processes; results come in the order of the jobs, whichever process did them.

    `make_context` (no arguments, called once in each process) makes what all jobs share; it, `work` and the jobs must
    be picklable if n > 1. `context` is its result, if this process has called it already. Use as a context manager:
    on exit no worker is left. If one dies, the error ends with what `advise` returns for its job.
    """

    _daemonic = True  # what multiprocessing calls so may start no processes of its own

    def __init__(
        self,
        workers: int,
        make_context: Callable[[], Any],
        work: Work,
        context: Any = None,
        advise: Callable[[Any], str] = lambda job: "",
    ) -> None:
        self._workers, self._make_context, self._work, self._context = workers, make_context, work, context
        self._advise = advise
        self._pool: dict[Connection, Any] = {}  # the coordinator's ends of the pipes -> processes
        self._last: dict[Connection, Any] = {}  # the job that each was sent last

    def __enter__(self) -> "Executor":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        end(self._pool)
        self._pool = {}

    def map(self, jobs: Iterable[Any], report: Report = lambda *event: None) -> list[Any]:
        """Return each job's result; raise UserError if a job did, or if a worker died."""
        return list(self.stream(jobs, report))

    def stream(
        self, jobs: Iterable[Any], report: Report = lambda *event: None, ahead: float = math.inf
    ) -> Iterator[Any]:
        """Yield each job's result as `map` does; at most `ahead` jobs and results are held at any time."""
        if self._workers > 1:
            yield from self._spread(enumerate(jobs), report, ahead)
            return
        self._context = self._context or self._make_context()
        for job in jobs:
            yield self._work(job, self._context, report)

    def _spread(self, jobs: Iterator[tuple[int, Any]], report: Report, ahead: float) -> Iterator[Any]:
        results: dict[int, Any] = {}
        shown, idle = 0, list(self._pool)
        job = next(jobs, None)
        while True:
            while job and job[0] < shown + ahead and (pipe := self._free(idle)):
                self._send(pipe, job)
                job = next(jobs, None)
            while shown in results:
                yield results.pop(shown)
                shown += 1
            busy = [pipe for pipe in self._pool if pipe not in idle]
            if not busy and not job:
                return
            ready = wait(busy) if busy else []
            for each in [pipe for pipe in busy if pipe in ready]:
                self._take(each, results, idle, report)

    def _free(self, idle: list[Connection]) -> Connection | None:
        """Return an idle worker, a new one if need be; None if all workers allowed are busy."""
        if not idle and len(self._pool) < self._workers:
            with interrupted_later():
                environment = self._environment(len(self._pool))
                pipe, process = start(self._make_context, self._work, self._daemonic, environment)
                self._pool[pipe] = process
            return pipe
        return idle.pop() if idle else None

    def _environment(self, number: int) -> Mapping[str, str]:
        """Return variables of the environment that worker `number` is to have, counted from 0."""
        return {}

    def _send(self, pipe: Connection, job: tuple[int, Any]) -> None:
        self._last[pipe] = job[1]
        try:
            pipe.send(job)
        except OSError:
            self._receive(pipe)  # says how the worker ended

    def _take(self, pipe: Connection, results: dict[int, Any], idle: list[Connection], report: Report) -> None:
        kind, *content = self._receive(pipe)
        if kind == "event":
            report(*content)
        elif kind == "done":
            results[content[0]] = content[1]
            idle.append(pipe)
        else:
            raise (UserError if kind == "mistake" else RuntimeError)(content[0])

    def _receive(self, pipe: Connection) -> Any:
        try:
            return pipe.recv()
        except (EOFError, OSError):
            process = self._pool[pipe]
            process.join()
            raise UserError(
                f"a worker process died (exit code {process.exitcode}; -9 is what running out of memory looks like). "
                f"{self._advise(self._last[pipe])}".rstrip()
            ) from None


@contextmanager
def interrupted_later() -> Iterator[None]:
    """Put Ctrl-C off to the end, or it would leave a worker half begun; what is started here never hears of it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []
    usual = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which a new process takes over
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, usual)
        if heard:
            signal.raise_signal(signal.SIGINT)


def end(pool: Mapping[Connection, Any]) -> None:
    """Leave none of the processes behind that these pipes lead to."""
    for process in pool.values():
        process.kill()  # whatever jobs write is written whole or not at all
    for pipe, process in pool.items():
        process.join()
        pipe.close()


def start(
    make_context: Callable[[], Any], work: Work, daemonic: bool = True, environment: Mapping[str, str] | None = None
) -> tuple[Connection, Any]:
    """Start a process that does the jobs (number, job) which come through a pipe; return our end, and the process.

    It answers ("event", ...) for what a job reports, then ("done", number, result), or ("mistake" or "fault", why) and
    ends; it also ends when this process does.
    """
    context = get_context("spawn")  # a fork would copy the locks of threads that it does not copy
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, make_context, work, environment or {}), daemon=daemonic)
    process.start()
    theirs.close()
    return ours, process


def _serve(pipe: Connection, make_context: Callable[[], Any], work: Work, environment: Mapping[str, str]) -> None:
    """Do jobs until the coordinator is gone."""
    os.environ |= environment
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the coordinator ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        context = None
        while True:
            number, job = pipe.recv()
            context = context or make_context()
            pipe.send(("done", number, work(job, context, lambda *event: pipe.send(("event", *event)))))
    except UserError as error:
        pipe.send(("mistake", str(error)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the coordinator is gone
    except Exception:
        pipe.send(("fault", traceback.format_exc()))


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
