"""A folder of arrays that several processes share: claimed while they are made, and evicted when room is short."""

import errno
import os
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.common.errors import UserError

LOCKS = ".locks"
PAUSE = 0.2  # seconds between looks at what other processes are writing
BLOCK = 2**20
NOT_THERE = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)  # a filesystem without fallocate


@dataclass(frozen=True)
class Entry:
    """A finished file: its size in bytes, and when it was last used (ns since the epoch)."""

    path: Path
    size: int
    used: int


class Store:
    """Files `*.npy` of one folder, at most `limit` bytes of them (None: as many as the disk holds).

    A file is written under a temporary name (`files.atomic`) by the process that has claimed it, so a temporary file
    that nobody claims was left by a process that died. Eviction unlinks; what others have mapped stays valid.
    """

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        self.folder, self.limit = folder, limit

    def entries(self) -> list[Entry]:
        """Return the finished files, the least recently used first."""
        found = [Entry(path, stat.st_size, stat.st_mtime_ns) for path, stat in self._stats("*.npy")]
        return sorted(found, key=lambda entry: (entry.used, entry.path.name))

    def unfinished(self) -> list[Entry]:
        """Return the temporary files: being written, or left by a process that died."""
        return [Entry(path, stat.st_size, stat.st_mtime_ns) for path, stat in self._stats(".*.npy.*")]

    def _stats(self, pattern: str) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self.folder.glob(pattern):
            with suppress(FileNotFoundError):  # evicted by another process since
                yield path, path.stat()

    def touch(self, path: Path) -> None:
        """Note that a file was used. The modification time says so, as many systems do not keep access times."""
        now = time.time_ns()
        with suppress(OSError):  # gone, or another user's
            os.utime(path, ns=(now, now))

    @contextmanager
    def claim(self, paths: Collection[Path]) -> Iterator[None]:
        """Hold files for writing: first wait for processes that hold any of them.

        All take locks in the order of names, so nobody waits in a circle. A process that dies lets go.
        """
        with ExitStack() as held:
            for path in sorted(paths):
                held.enter_context(self._lock(path.name))
                for left in self.folder.glob(f".{path.name}.*"):
                    _remove(left)
            yield

    @contextmanager
    def _lock(self, name: str, wait: bool = True) -> Iterator[None]:
        """Hold a named lock; raise Timeout where it is held and `wait` is not set."""
        path = self.folder / LOCKS / name
        lock = FileLock(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(blocking=wait)
        except Timeout:
            raise
        except OSError as error:
            raise UserError(
                f"{self.folder}: cannot be written: {error.strerror}; fix its permissions or free space"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def sweep(self) -> None:
        """Remove what processes that died were writing."""
        for entry in self.unfinished():
            name = entry.path.name.removeprefix(".").rpartition(".")[0]
            with suppress(Timeout), self._lock(name, wait=False):
                _remove(entry.path)

    def available(self, keep: Collection[Path]) -> tuple[int, int]:
        """Return the bytes that could be written with all but `keep` evicted: under the limit, and on the disk."""
        entries = self.entries()
        kept = sum(entry.size for entry in entries if entry.path in keep)
        free = self._free() + sum(entry.size for entry in entries) - kept
        return free if self.limit is None else self.limit - kept, free

    def _free(self) -> int:
        self.folder.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self.folder).free

    @contextmanager
    def room(self, size: int, keep: Collection[Path]) -> Iterator[None]:
        """Evict what was used least recently, `keep` aside, until `size` bytes fit; then reserve them in the block.

        Where what others are writing takes the room, wait until it is finished and can be evicted.
        """
        while True:
            with self._lock("room"):
                if self._evict(size, keep):
                    yield
                    return
            time.sleep(PAUSE)
            self.sweep()

    def _evict(self, size: int, keep: Collection[Path]) -> bool:
        """Unlink until `size` bytes fit, or say that they can fit only once others have finished."""
        entries, unfinished = self.entries(), self.unfinished()
        short = size - self._free()
        if self.limit is not None:
            short = max(short, size - self.limit + sum(entry.size for entry in [*entries, *unfinished]))
        others = [entry for entry in entries if entry.path not in keep]
        if unfinished and short > sum(entry.size for entry in others):
            return False
        for entry in others:
            if short > 0:
                _remove(entry.path)
                short -= entry.size
        return True

    def clear(self) -> int:
        """Remove all files but those being written; return their bytes."""
        self.sweep()
        entries = self.entries()
        for entry in entries:
            _remove(entry.path)
        for lock in (self.folder / LOCKS).glob("*"):
            with suppress(Timeout), self._lock(lock.name, wait=False):
                _remove(lock)
        return sum(entry.size for entry in entries)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be removed: {error.strerror}; fix its permissions") from error


def reserve(path: Path, header: bytes, size: int) -> None:
    """Write a header and `size` bytes of zeros for which the disk has room; raise UserError where it has none.

    Without this a map onto a file with holes would end the process by SIGBUS when the disk is full.
    """
    try:
        with path.open("wb") as file:
            file.write(header)
            file.flush()
            try:
                os.posix_fallocate(file.fileno(), 0, len(header) + size)
            except (AttributeError, OSError) as error:
                if isinstance(error, OSError) and error.errno not in NOT_THERE:
                    raise
                _write_zeros(path, len(header) + size)
    except OSError as error:
        raise UserError(
            f"{path}: {shown(size)} are needed: {error.strerror}; free space on the disk, or need less: "
            "a later cut, fewer features.views, or a smaller image_size"
        ) from error


def _write_zeros(path: Path, size: int) -> None:
    with path.open("ab") as file:
        while (missing := size - file.tell()) > 0:
            file.write(bytes(min(BLOCK, missing)))


def shown(size: int) -> str:
    """Return a size in bytes as people write it: 1.2 GB."""
    value, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.95 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{size} B" if units[0] == "B" else f"{value:.1f} {units[0]}"
