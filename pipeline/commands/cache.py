"""List or clear what is kept between runs: features, finished units, studies, and what was found out about images."""

import argparse
import ast
import shutil
import struct
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pipeline.common.entry_point import handle_user_errors
from pipeline.common.errors import UserError
from pipeline.common.lru_store import Entry, Store, shown
from pipeline.common.text_table import text_table

LOST = (
    "With --all, finished trials and trained units are lost as well: the next run does all of them again. "
    "Results, models and MLflow are not touched."
)


@handle_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = _arguments(argv)
    if not args.work.is_dir():
        raise UserError(f"{args.work}: no such folder; run from the repository root after a first run, or pass --work")
    if args.command == "list":
        _list(args.work, args.params)
    else:
        _clear(args.work, args.all)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--work", type=Path, default=Path(".headstart"), help="where runs keep it (default: %(default)s)"
    )
    parser = argparse.ArgumentParser(prog="python -m pipeline.commands.cache", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    shows = commands.add_parser("list", parents=[shared], help="show what is kept, the last used first")
    shows.add_argument(
        "--params", type=Path, default=Path("params.yaml"), help="states the limit (default: %(default)s)"
    )
    clears = commands.add_parser("clear", parents=[shared], help="remove the features; the next run makes them again")
    clears.add_argument("--all", action="store_true", help="remove all but downloads; stop runs first")
    return parser.parse_args(argv)


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
        ("checks", shown(sum(map(_size, _checks(work)))), "what is known of unchanged images (checked.sqlite)"),
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
    freed = sum(_removed(path) for path in [*(work / "units").glob("*"), *_studies(work), *_checks(work)])
    print(f"removed units, studies and checks: {shown(freed)} freed")


def _studies(work: Path) -> list[Path]:
    return sorted(work.glob("optuna.db*"))


def _checks(work: Path) -> list[Path]:
    return sorted(work.glob("checked.sqlite*"))


def _removed(path: Path) -> int:
    """Remove a file or a folder; return its size in bytes."""
    size = _size(path)
    try:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be removed: {error.strerror}; mend its rights") from error
    return size


def _size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder; 0 for what is not there."""
    files = [inner for inner in path.rglob("*") if inner.is_file()] if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.exists())


if __name__ == "__main__":
    sys.exit(main())
