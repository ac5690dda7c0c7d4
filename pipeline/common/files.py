"""What is written to disk: JSON that is the same to the byte for the same values, never half a file."""

import json
import os
import re
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.common.errors import UserError
from pipeline.common.hashes import jsonable

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends without an error.

    Its content is on the disk before it gets the name, so that a power loss leaves the old file or the whole new one.
    Raise UserError where `path` cannot be written. An OSError of the block that names another file passes through.
    """
    temporary = path.with_name(f".{path.name}.{_writer()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # names a parent
        raise unwritable(path, error.strerror) from error
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
    except OSError as error:
        if _is_about(temporary, error):
            raise unwritable(path, error.strerror) from error
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    with suppress(OSError):  # some filesystems cannot; the file is whole all the same
        _sync(path.parent)


def _writer() -> str:
    """Return a name, without a dot, that no other writer has: containers on one volume may share host and PID."""
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:20]
    return f"{host}-{os.getpid()}-{secrets.token_hex(4)}"


def _sync(path: Path) -> None:
    """Wait until the content of a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_about(path: Path, error: OSError) -> bool:
    """Say whether an error is one of writing `path`: it names it, or no file at all."""
    named = [str(name) for name in (error.filename, error.filename2) if name is not None]
    return not named or str(path) in named


def unwritable(path: Path | None, why: str | None) -> UserError:
    """Return the error that says why a file cannot be written, and what to do."""
    return UserError(f"{path}: cannot be written: {why}; free space or change permissions, then run again")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file: sorted keys, floats to 12 significant digits, a final newline."""
    with atomic(path) as temporary:
        text = json.dumps(_rounded(json.loads(json.dumps(value, default=jsonable))), indent=1, sort_keys=True)
        temporary.write_text(text + "\n", encoding="utf-8")


def write_csv(path: Path, table: "pd.DataFrame") -> None:
    """Write a table with floats to 12 significant digits."""
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.12g", lineterminator="\n")


def read_csv(path: Path, types: dict[str, type] | None = None) -> "pd.DataFrame":
    """Read a table, columns of these types; raise UserError where it is missing or damaged."""
    import pandas as pd

    try:
        return pd.read_csv(path, dtype=types)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the stage that makes it: dvc repro") from None
    except ValueError as error:  # pandas' errors of parsing among them
        raise UserError(f"{path}: not a valid table ({error}); delete it and run dvc repro") from None


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.12g}")
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return value


def read_json(path: Path) -> Any:
    """Read a JSON file; raise UserError where it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the stage that makes it: dvc repro") from None
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error}); delete it and run dvc repro") from None


def once(path: Path, work: Callable[[], Any]) -> Any:
    """Return what the JSON file at `path` holds; where there is none, do the work and write it first."""
    if not path.exists():
        write_json(path, work())
    return read_json(path)
