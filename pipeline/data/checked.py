"""What was found out about files, remembered for as long as they are unchanged."""

import os
import sqlite3
import stat
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TypeVar

Stamp = tuple[int, int, int, int]  # size in bytes, modification and change in ns, inode
_TOGETHER = 500  # rows of a transaction: a kill loses no more, and nobody waits long
Made = TypeVar("Made")
_FRESH = 2 * 10**9  # ns: a file that has just been changed can be changed again without its times telling


def stamp(file: str) -> Stamp | None:
    """Return what changes when a regular file does; None where there is none, or one that has just been changed."""
    try:
        found = os.stat(file)
    except (OSError, ValueError):
        return None
    fresh = time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) < _FRESH
    if fresh or not stat.S_ISREG(found.st_mode):
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


class Checked:
    """A SQLite file of texts by path, each valid for one stamp. Without a database that can be used it forgets all.

    Use as a context manager. `meaning` says what values are made of: with another one nothing is remembered.
    """

    def __init__(self, file: Path, meaning: str) -> None:
        self._file, self._meaning = file, meaning
        self._base: sqlite3.Connection | None = None
        self._put = 0

    def __enter__(self) -> "Checked":
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._base = self._open()
        except sqlite3.OperationalError:  # locked, or not to be written
            self._base = None
        except sqlite3.DatabaseError:  # damaged
            self._file.unlink(missing_ok=True)
            self._base = self._guard(self._open)
        except OSError:
            self._base = None
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._base is not None:
            self._guard(self._base.commit)
            self._base.close()
            self._base = None

    def _open(self) -> sqlite3.Connection:
        base = sqlite3.connect(self._file, timeout=5)
        base.execute("PRAGMA synchronous = OFF")  # what a power failure damages is made again
        base.execute("CREATE TABLE IF NOT EXISTS meaning (name TEXT)")
        base.execute("CREATE TABLE IF NOT EXISTS found (path BLOB PRIMARY KEY, stamp TEXT, value TEXT) WITHOUT ROWID")
        if base.execute("SELECT name FROM meaning").fetchall() != [(self._meaning,)]:
            base.execute("DELETE FROM found")
            base.execute("DELETE FROM meaning")
            base.execute("INSERT INTO meaning VALUES (?)", (self._meaning,))
        base.commit()
        return base

    def _guard(self, work: Callable[[], Made]) -> Made | None:
        """Return what the work does; stop remembering where the database fails."""
        try:
            return work()
        except (sqlite3.Error, OSError):
            self._base = None
            return None

    def get(self, path: str, now: Stamp | None) -> str | None:
        """Return the value of a path if it had this stamp, None otherwise."""
        if now is None or self._base is None:
            return None
        base, query = self._base, "SELECT value FROM found WHERE path = ? AND stamp = ?"
        row = self._guard(lambda: base.execute(query, (os.fsencode(path), str(now))).fetchone())
        return None if row is None else str(row[0])

    def put(self, path: str, then: Stamp | None, value: str) -> None:
        """Remember a value, found when the path had this stamp."""
        if then is None or self._base is None:
            return
        base, row = self._base, (os.fsencode(path), str(then), value)
        self._guard(lambda: base.execute("INSERT OR REPLACE INTO found VALUES (?, ?, ?)", row))
        self._put += 1
        if self._put % _TOGETHER == 0:
            self._guard(base.commit)
