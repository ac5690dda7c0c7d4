"""Run functions in processes of their own, as another run of the product would."""

import multiprocessing
import signal
from collections.abc import Callable
from typing import Any

FORK = multiprocessing.get_context("fork")  # starts at once: the modules are there already


class Child:
    """A function in another process; `result` waits for what it returns, or for its exception as text."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._ours, theirs = FORK.Pipe()

        def work() -> None:
            try:
                theirs.send(function())
            except Exception as error:
                theirs.send(f"{type(error).__name__}: {error}")

        self.process = FORK.Process(target=work)
        self.process.start()

    def result(self) -> Any:
        assert self._ours.poll(60), f"no answer; exit code {self.process.exitcode}"
        answer = self._ours.recv()
        self.process.join()
        return answer

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


def hear_ctrl_c() -> None:
    """Undo what a shell does to jobs in the background, which would never hear of it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
