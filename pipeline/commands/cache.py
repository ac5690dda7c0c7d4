"""`headstart cache`: list or clear what is kept between runs: features, finished units, studies, lists of checks."""

import ast
import shutil
import struct
import time
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import PARAMS, WORK, ParamsFile, WorkFolder
from pipeline.common.errors import UserError
from pipeline.common.lru_store import Entry, Store, shown
from pipeline.common.text_table import text_table

LOST = (
    "With --all, finished trials and trained units are lost as well: the next run does all of them again. "
    "Results, models and MLflow are not touched."
)

app = typer.Typer(help="List or clear what is kept between runs.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_cache(work: WorkFolder = WORK, params: ParamsFile = PARAMS) -> None:
    """Show what is kept, the features used last first."""
    _check(work)
    _list(work, params)


@app.command("clear")
def clear_cache(
    everything: Annotated[bool, typer.Option("--all", help="Remove all but downloads; stop runs first.")] = False,
    work: WorkFolder = WORK,
) -> None:
    """Remove the features; the next run makes them again."""
    _check(work)
    _clear(work, everything)


def _check(work: Path) -> None:
    if not work.is_dir():
        raise UserError(f"{work}: no such folder; run from the repository root after a first run, or pass --work")


def _list(work: Path, params: Path) -> None:
    store = Store(work / "features")
    entries, unfinished = store.entries()[::-1], store.unfinished()
    if entries:
        print(text_table([("what", "images", "shape of one", "type", "size", "last used"), *map(_row, entries)]) + "\n")
    total = sum(entry.size for entry in [*entries, *unfinished])
    writing = f", {len(unfinished)} being written or left by a run that died" if unfinished else ""
    units = work / "units"
    rows = [
        ("features", shown(total), f"{len(entries)} file(s){writing}; {_limit(params)}"),
        ("units", shown(_size(units)), f"{sum(1 for _ in units.glob('*'))} trained recipe(s)"),
        ("studies", shown(sum(map(_size, _studies(work)))), "the searches' trials (optuna.db)"),
        ("checks", shown(_size(work / "check")), "lists of images that cannot be used"),
        ("downloads", shown(_size(work / "downloads")), "archives of data sets; never cleared, yours may be there"),
    ]
    print(text_table(rows))


def _limit(params: Path) -> str:
    from pipeline.config.params import load

    if not params.is_file():
        return f"limit unknown: no {params}"
    return f"limit {shown(load(params).features.cache_bytes)} (features.cache_gb)"


def _row(entry: Entry) -> tuple[str, ...]:
    *what, _ = entry.path.stem.split(".")
    used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used / 1e9))
    return (" ".join(what) or entry.path.stem, *_content(entry.path), shown(entry.size), used)


def _content(path: Path) -> tuple[str, str, str]:
    """Return an array's length, shape of one entry and type, read from its header."""
    try:
        with path.open("rb") as file:
            wide = file.read(8)[6] > 1
            (length,) = struct.unpack("<I", file.read(4)) if wide else struct.unpack("<H", file.read(2))
            header = ast.literal_eval(file.read(length).decode("latin1").strip())
        count, *shape = header["shape"]
        return str(count), "x".join(map(str, shape)), {"<f2": "float16", "<f4": "float32"}[header["descr"]]
    except (OSError, LookupError, TypeError, ValueError, SyntaxError, struct.error):
        return "?", "?", "damaged"


def _clear(work: Path, everything: bool) -> None:
    features = Store(work / "features").clear()
    print(f"removed features: {shown(features)} freed")
    if not everything:
        return
    print(LOST)
    freed = sum(_removed(path) for path in [*(work / "units").glob("*"), *_studies(work), work / "check"])
    print(f"removed units, studies and checks: {shown(freed)} freed")


def _studies(work: Path) -> list[Path]:
    return sorted(work.glob("optuna.db*"))


def _removed(path: Path) -> int:
    """Remove a file or a folder; return its size in bytes."""
    size = _size(path)
    try:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be removed: {error.strerror}; fix its permissions") from error
    return size


def _size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder; 0 for what is not there."""
    files = [inner for inner in path.rglob("*") if inner.is_file()] if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.exists())
