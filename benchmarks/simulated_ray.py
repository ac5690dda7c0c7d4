"""A cluster that is simulated in this process: what `RayExecutor` asks of Ray, on a clock that jumps.

Actors and their answers are objects here, a unit ends when its time on the clock has come, and nothing is computed:
what is left is what the coordinator itself does.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any
from unittest.mock import patch


class _Call:
    """A method of an actor, called as Ray has it."""

    def __init__(self, begin: Callable[..., Any]) -> None:
        self.remote = begin


class _Answers:
    """What an actor will answer to one call, once its time has come."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def __next__(self) -> "_Answers":
        return self


class _Actor:
    def __init__(self, cluster: "SimulatedRay") -> None:
        self.ready = _Call(lambda: cluster.begin("node", 0.0))
        self.do = _Call(lambda job: cluster.begin(("done", job), cluster.seconds))


class SimulatedRay:
    """What the coordinator uses of the module ray."""

    class exceptions:  # noqa: N801
        """Ray's errors, which never happen here."""

        class RayActorError(Exception):
            """An actor has died."""

        class NodeDiedError(Exception):
            """A node is lost."""

        class ObjectLostError(Exception):
            """An answer is lost."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.clock = seconds, 0.0
        self.most_at_once = 0
        self._due: list[tuple[float, int, _Answers]] = []
        self._numbers = count()

    def begin(self, answer: Any, seconds: float) -> _Answers:
        """Begin a call that is answered after so many seconds of the clock; no two take quite equally long."""
        number, found = next(self._numbers), _Answers(answer)
        heapq.heappush(self._due, (self.clock + seconds * (1 + number % 101 / 1000), number, found))
        self.most_at_once = max(self.most_at_once, len(self._due))
        return found

    def remote(self, **resources: float) -> Callable[[type], Any]:
        """Return what makes an actor of a class."""
        return lambda kind: _Call(lambda *args: _Actor(self))

    def wait(self, waiting: Sequence[Any], num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
        """Return what is answered by now; with a timeout, let the clock jump to the next answer."""
        if timeout:
            self.clock = max(self.clock, self._due[0][0])
        found = []
        while self._due and self._due[0][0] <= self.clock and len(found) < num_returns:
            found.append(heapq.heappop(self._due)[2])
        return found, []

    def get(self, answers: _Answers) -> Any:
        """Return an answer."""
        return answers.answer

    def kill(self, actor: Any) -> None:
        """End an actor."""

    def shutdown(self) -> None:
        """Leave."""


@contextmanager
def simulated_executor(workers: int, seconds: float) -> Iterator[tuple[Any, SimulatedRay]]:
    """Yield the coordinator of a cluster of so many workers, whose units take so many seconds, and the cluster."""
    from pipeline.config.cluster import Cluster
    from pipeline.execution import ray_executor

    cluster = SimulatedRay(seconds)
    with (
        patch.object(ray_executor, "connect", lambda wanted: cluster),
        patch.object(ray_executor, "room", lambda ray, wanted: workers),
        ray_executor.RayExecutor(Cluster(executor="ray"), "auto", lambda: None, lambda *job: None) as executor,
    ):
        yield executor, cluster
