"""What every stage's command line has in common."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import NoReturn, Protocol

from pipeline.errors import UserError

Main = Callable[[Sequence[str] | None], None]


class Guarded(Protocol):
    """A main that never raises for what a user can mend."""

    def __call__(self, argv: Sequence[str] | None = None) -> int:
        """Return the exit code."""
        ...


def arguments(description: str | None, **paths: str) -> argparse.ArgumentParser:
    """Return a parser for a stage: `--params`, and one required path option per keyword (name=help)."""
    parser = argparse.ArgumentParser(description=(description or "").strip().splitlines()[0])
    parser.add_argument(
        "--params", type=Path, default=Path("params.yaml"), help="the parameters (default: %(default)s)"
    )
    for name, text in paths.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, required=True, help=text)
    return parser


def guarded(main: Main) -> Guarded:
    """Make a main return 0, or say in a sentence what the user can mend and return 2 (130 after Ctrl-C)."""

    @wraps(main)
    def run(argv: Sequence[str] | None = None) -> int:
        try:
            main(argv)
            return 0
        except UserError as error:
            print(f"\nerror: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("\nstopped; what is finished is kept. Continue with: uv run dvc repro", file=sys.stderr)
            return 130

    return run


def leave(code: int) -> NoReturn:
    """End this process at once: tearing torch and mlflow down would take seconds, after Ctrl-C too."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class Stopwatch:
    """Measure a stage, its workers included: seconds, CPU-seconds, and the peak of resident memory."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), cpu_seconds()

    def read(self) -> dict[str, float]:
        """Return what has passed since the start."""
        import resource

        whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        return {
            "seconds": time.perf_counter() - self._wall,
            "cpu_seconds": cpu_seconds() - self._cpu,
            "peak_rss_mib": max(resource.getrusage(who).ru_maxrss for who in whose) / 1024,  # of the largest process
        }


def cpu_seconds() -> float:
    """Return what this process and its ended workers have used."""
    ended = os.times()
    return time.process_time() + ended.children_user + ended.children_system
