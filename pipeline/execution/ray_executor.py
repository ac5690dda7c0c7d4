"""Do jobs on a Ray cluster: what `Executor` does, with actors on any node in the place of processes of this machine.

Actors, not Ray Tune: one coordinator asks Optuna in rounds, whoever trains, so the results stay the same.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sized
from pathlib import Path
from typing import Any, Literal

from tqdm import tqdm

from pipeline.common.errors import UserError, first_line
from pipeline.common.process_pool import Executor, Report, Work
from pipeline.config.cluster import Cluster
from pipeline.execution.ray_cluster import connect, room
from pipeline.execution.ray_worker import Worker

PATIENCE = 60.0  # seconds after which it is said that the cluster has no room


class RayExecutor(Executor):
    """Do jobs in n actors, or in as many as the cluster has room for (`auto`).

    A job whose actor dies, be it by its node, by want of memory or by a kill, is given to another, `cluster.retries`
    times: what it had stored is read back. Raise UserError if there is no Ray, or no cluster with what a job asks for.
    """

    def __init__(
        self,
        cluster: Cluster,
        workers: int | Literal["auto"],
        make_context: Callable[[], Any],
        work: Work,
        advise: Callable[[Any], str] = lambda job: "",
        devices: int = 1,
    ) -> None:
        """Set `cluster.cpus` and `cluster.gpus` aside for each of the `devices` that share a unit, all on one node."""
        cluster = cluster.model_copy(update={"cpus": cluster.cpus * devices, "gpus": cluster.gpus * devices})
        self._ray, self._retries = connect(cluster), cluster.retries
        try:
            space = room(self._ray, cluster)
        except UserError:
            self._ray.shutdown()
            raise
        super().__init__(space if workers == "auto" else workers, make_context, work, advise=advise)
        self._actor = self._ray.remote(num_cpus=cluster.cpus, num_gpus=cluster.gpus)(Worker)
        self._idle: list[Any] = []
        self._starting: dict[Any, Any] = {}  # the promise to be ready -> its actor
        self._busy: dict[Any, tuple[Any, int, Any]] = {}  # answers to come -> actor, number, job
        self._places: dict[Any, tuple[str, str]] = {}  # actor -> the node that it runs on, and its log there
        self._stillborn = 0  # actors in a row that died before they were ready
        errors = self._ray.exceptions
        # A node that is lost takes with it what its actors have answered and nobody has fetched.
        self._lost = errors.RayActorError, errors.NodeDiedError, errors.ObjectLostError

    def __exit__(self, *error: object) -> None:
        for actor in [*self._idle, *self._starting.values(), *(actor for actor, _, _ in self._busy.values())]:
            self._ray.kill(actor)  # whatever jobs write is written whole or not at all
        self._ray.shutdown()

    def stream(
        self, jobs: Iterable[Any], report: Report = lambda *event: None, ahead: float = math.inf
    ) -> Iterator[Any]:
        """Yield each job's result, in the order of the jobs; at most `ahead` jobs and results are held at any time."""
        most = min(self._workers, len(jobs) if isinstance(jobs, Sized) else math.inf, ahead)
        queue, results, shown = _Queue(jobs), dict[int, Any](), 0
        while True:
            while shown in results:
                yield results.pop(shown)
                shown += 1
            while self._idle and (job := queue.take(below=shown + ahead)):
                actor = self._idle.pop()
                self._busy[actor.do.remote(job[1])] = actor, *job
            if not self._busy and queue.is_empty:
                return
            self._start(int(most))
            for each in self._ready():
                if each in self._starting:
                    self._begin(each)
                else:
                    results |= self._answer(each, queue, report)

    def _start(self, most: int) -> None:
        """Ask for actors until there are so many; each begins when a node has room for it."""
        for _ in range(most - len(self._idle) - len(self._starting) - len(self._busy)):
            actor = self._actor.remote(self._make_context, self._work, Path.cwd())
            self._starting[actor.ready.remote()] = actor

    def _ready(self) -> list[Any]:
        """Wait until an actor is ready or answers; return all that are and do.

        To wait takes as long as there are actors: one call for each answer would cost a thousand of them most.
        """
        waiting = [*self._busy, *self._starting]
        ready, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=0)
        if not ready:
            ready, _ = self._ray.wait(waiting, num_returns=1, timeout=PATIENCE)
        if not ready and not self._busy:
            tqdm.write("the cluster has no room for a unit (cluster.cpus, cluster.gpus); waiting for a node")
        return list(ready)

    def _begin(self, promise: Any) -> None:
        actor = self._starting.pop(promise)
        try:
            self._places[actor] = self._ray.get(promise)
        except self._lost as error:
            self._stillborn += 1
            if self._stillborn > (self._retries + 1) * self._workers:
                raise UserError(f"no worker can be started on the cluster, {self._stillborn} died at once "
                                f"({first_line(error)}); Ray keeps its logs in /tmp/ray") from None  # fmt: skip
            return  # another is asked for
        self._stillborn = 0
        self._idle.append(actor)

    def _answer(self, answers: Any, queue: "_Queue", report: Report) -> dict[int, Any]:
        """Take what an actor says: pass an event on, or return the result by number; put a dead actor's job back."""
        actor, number, job = self._busy[answers]
        try:
            kind, *content = self._ray.get(next(answers))
        except self._lost:
            del self._busy[answers]
            self._ray.kill(actor)  # it may live, out of reach: no job is done by two
            self._mourn(*self._places.pop(actor), job, queue.put_back(number, job))
            return {}
        if kind == "event":
            report(*content)
            return {}
        if kind != "done":
            raise (UserError if kind == "mistake" else RuntimeError)(content[0])
        del self._busy[answers]
        self._idle.append(actor)
        return {number: content[0]}

    def _mourn(self, node: str, log: str, job: Any, deaths: int) -> None:
        said = f"a worker on node {node} died (its node, its memory, or a kill; its log there: {log})"
        if deaths > self._retries:
            raise UserError(
                f"{said}; the same unit has lost {deaths} workers (cluster.retries: {self._retries}). "
                f"{self._advise(job)}".rstrip()
            )
        tqdm.write(f"{said}; its unit goes on elsewhere")


class _Queue:
    """Jobs, numbered, that are still to be given out: those of actors that died come first."""

    def __init__(self, jobs: Iterable[Any]) -> None:
        self._jobs = enumerate(jobs)
        self._again: list[tuple[int, Any]] = []
        self._next = next(self._jobs, None)
        self._deaths: Counter[int] = Counter()  # by number

    @property
    def is_empty(self) -> bool:
        return not self._again and self._next is None

    def take(self, below: float) -> tuple[int, Any] | None:
        """Return the next job and its number, unless the number is not below this."""
        if self._again:
            return self._again.pop()
        if self._next is None or self._next[0] >= below:
            return None
        taken, self._next = self._next, next(self._jobs, None)
        return taken

    def put_back(self, number: int, job: Any) -> int:
        """Take back the job of an actor that died; return how often that has happened."""
        self._again.append((number, job))
        self._deaths[number] += 1
        return self._deaths[number]
