"""The table that `headstart predict` writes: batch by batch into a partial file, which a rerun goes on with."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.common.errors import UserError

FORMATS, TEXT = (".csv", ".parquet"), ("path", "label", "error")
Row = dict[str, Any]  # path; label, probability and p_<class>, or error


class PartialTable:
    """Rows on disk, a line of JSON each; whatever is killed, those of finished batches are there."""

    def __init__(self, file: Path, made_by: dict[str, str]) -> None:
        """Open a file, and take over its rows if the same model has made them of the same images."""
        self._head = json.dumps({"made_by": made_by}, sort_keys=True)
        self._file, self.rows = file, dict[str, Row]()
        whole = self._read() if file.exists() else 0
        self._stream = file.open("r+b" if whole else "wb")
        self._stream.truncate(whole)
        self._stream.seek(whole)
        if not whole:
            self._write([self._head])

    def _read(self) -> int:
        """Take over the rows; return how many bytes of the file are whole lines, or 0 for those of something else."""
        lines = self._file.read_bytes().splitlines(keepends=True)
        if not lines or lines[0] != f"{self._head}\n".encode():
            return 0
        whole = len(lines[0])
        for line in lines[1:]:
            if not line.endswith(b"\n"):  # the process was killed while it wrote
                break
            row = json.loads(line)
            self.rows[row["path"]] = row
            whole += len(line)
        return whole

    def add(self, rows: Iterable[Row]) -> None:
        """Append rows; they are on the disk when this returns."""
        added = {row["path"]: row for row in rows}
        self._write([json.dumps(row) for row in added.values()])
        self.rows |= added

    def _write(self, lines: Iterable[str]) -> None:
        self._stream.write("".join(f"{line}\n" for line in lines).encode())
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Close the file, which stays."""
        self._stream.close()


@contextmanager
def partial_table(out: Path, made_by: dict[str, str], overwrite: bool) -> Iterator[PartialTable]:
    """Yield the partial table of a file, to which no other process writes; remove it if the block ends well.

    Raise UserError where the file is there already, or cannot be written.
    """
    from filelock import FileLock, Timeout

    partial = out.with_name(f".{out.name}.partial")
    if out.suffix.lower() not in FORMATS:
        raise UserError(f"{out}: --out must end in {' or '.join(FORMATS)}")
    if out.exists() and not partial.exists() and not overwrite:
        raise UserError(f"{out}: is there already; name another file, or give --overwrite")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(partial.with_suffix(".lock"))
        with lock.acquire(timeout=0):
            table = PartialTable(partial, made_by)
            try:
                yield table
            finally:
                table.close()
            partial.unlink()
        Path(lock.lock_file).unlink(missing_ok=True)
    except Timeout:
        raise UserError(f"{out}: another process is writing it") from None
    except OSError as error:
        raise UserError(f"{error.filename or out}: cannot be written: {error.strerror}") from None


def write_table(out: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Write rows with these columns as CSV or Parquet, by the suffix, whole or not at all."""
    import pandas as pd

    from pipeline.common.files import atomic, write_csv

    # Names that are not UTF-8 exist on Linux, and in no table.
    named = [{**row, "path": row["path"].encode("utf-8", "backslashreplace").decode()} for row in rows]
    table = pd.DataFrame(named, columns=[*columns])
    if out.suffix.lower() == ".csv":
        write_csv(out, table)
        return
    for column in TEXT:
        table[column] = table[column].astype("string")  # even if no row has one
    table = table.astype({column: "float64" for column in columns if column not in TEXT})
    with atomic(out) as temporary:
        table.to_parquet(temporary, index=False)
