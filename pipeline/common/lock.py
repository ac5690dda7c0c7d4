"""Let one process at a time do what only one may do."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def one_process(lock: Path) -> Iterator[None]:
    """Wait until no other process is in this block: a stage that outlived its `dvc repro` is allowed to finish."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        print(f"another process is running this stage (it holds {lock}); waiting until it ends", file=sys.stderr)
        held.acquire()
    try:
        yield
    finally:
        held.release()
