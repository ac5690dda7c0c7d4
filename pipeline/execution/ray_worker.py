"""What an actor of a Ray cluster does: jobs, one at a time, answered as `process_pool` answers them."""

import os
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from pipeline.common.errors import UserError
from pipeline.common.process_pool import Work
from pipeline.execution.shared_training import LostRankError


class Worker:
    """Do jobs in the folder where the coordinator runs, which all nodes share."""

    def __init__(self, make_context: Callable[[], Any], work: Work, folder: Path) -> None:
        self._make_context, self._work, self._folder = make_context, work, folder
        self._context: Any = None
        # One thread for all jobs: how many threads a thread's own operations use is set for it alone.
        self._thread = ThreadPoolExecutor(1)

    def ready(self) -> tuple[str, str]:
        """Return the name of the node that this runs on, and where on it Ray keeps what this process says."""
        try:
            log = os.readlink("/proc/self/fd/2")  # Ray has turned it to a file
        except OSError:
            log = "/tmp/ray"
        return os.uname().nodename, log

    def do(self, job: Any) -> Iterator[tuple[Any, ...]]:
        """Yield ("event", ...) for what the job reports, then ("done", result), ("mistake" or "fault", why)."""
        answers: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
        self._thread.submit(self._answer, job, answers)
        while True:
            answer = answers.get()
            yield answer
            if answer[0] != "event":
                return

    def _answer(self, job: Any, answers: "SimpleQueue[tuple[Any, ...]]") -> None:
        try:
            if self._context is None:
                if not self._folder.is_dir():
                    raise UserError(f"node {os.uname().nodename} has no folder {self._folder}; the repository must lie "
                                    "on storage that every node sees under the same path")  # fmt: skip
                os.chdir(self._folder)
                self._context = self._make_context()
            result = self._work(job, self._context, lambda *event: answers.put(("event", *event)))
            answers.put(("done", result))
        except LostRankError:
            os._exit(1)  # as one process with those that share its training: the job is given to another
        except UserError as error:
            answers.put(("mistake", str(error)))
        except BaseException:
            answers.put(("fault", f"on node {os.uname().nodename}: {traceback.format_exc()}"))
