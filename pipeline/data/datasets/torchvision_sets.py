"""The classification data sets of torchvision: fetched, verified and unpacked by torchvision, laid out like others."""

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.request import BaseHandler, Request, build_opener, install_opener

import numpy as np
from PIL import UnidentifiedImageError

from pipeline.common.errors import UserError
from pipeline.data.datasets.layouts import Item, Steps, as_arrays, as_files
from pipeline.data.datasets.torchvision_table import ROWS, Row

PACKED = {".gz", ".tgz", ".tar", ".zip", ".bz2", ".xz", ".mat"}
TIMEOUT = 60  # seconds without a byte, after which a download is given up
Parts = list[tuple[str, Any]]  # name of the split, data set of torchvision


def lay_out(name: str, out: Path, downloads: Path, steps: Steps) -> int:
    """Write the images of a row of ROWS as files or arrays, with its own splits; return the number of images.

    `downloads` keeps what was fetched. Raise UserError where something cannot be fetched, saying how to get it.
    """
    row = ROWS[name]
    if missing := [package for package in row.packages if find_spec(package) is None]:
        needed = " ".join(f"--with {package}" for package in row.packages)
        raise UserError(f"{name}: torchvision needs {' and '.join(missing)} for it: uv run {needed} dvc repro")
    root, parts = _unpacked(name, row, downloads.resolve())
    (out / "LICENCE.txt").write_text(f"{name}, {row.page}. Terms of use: {row.terms}. See that page.\n")
    items, step = _items(row, parts), steps(sum(len(part) for _, part in parts))
    try:
        if row.images == "arrays":
            return as_arrays(out, items, step)
        return as_files(out, root, items, step)
    except (FileNotFoundError, UnidentifiedImageError, ValueError, LookupError) as error:
        raise _damaged(name, root, error) from error


def _unpacked(name: str, row: Row, downloads: Path) -> tuple[Path, Parts]:
    """Return torchvision's root and the parts of the data set, fetched if need be.

    The folder that we unpack into is named `unpacked` once it is complete, so that a killed run leaves no half of it.
    """
    ready, part = downloads / "unpacked", downloads / ".unpacking"
    if ready.exists():
        try:
            return ready, _open(row, ready, download=False)
        except Exception as error:  # torchvision raises anything for missing or damaged files
            raise _damaged(name, ready, error) from error
    downloads.mkdir(parents=True, exist_ok=True)
    try:
        return downloads, _open(row, downloads, download=False)  # as the user unpacked it
    except Exception:
        pass
    _clear(part, row)
    _take(downloads, part, row)
    if row.byhand and not (row.archives and all((part / file).exists() for file in row.archives)):
        raise UserError(
            f"{name}: torchvision cannot fetch it. Get {row.byhand} from\n  {row.page}\nput that into\n  {downloads}\n"
            "and run again: dvc repro"
        )
    with _listening() as asked:
        try:
            _open(row, part, download=True)
        except Exception as error:
            raise _unfetched(name, downloads, asked, error) from error
    part.rename(ready)
    return ready, _open(row, ready, download=False)


def _open(row: Row, root: Path, download: bool) -> Parts:
    import torchvision.datasets

    kind = getattr(torchvision.datasets, row.kind)
    given: dict[str, Any] = {**row.options, **({"loader": Path} if row.images == "loader" else {})}
    if not row.byhand:
        given["download"] = download
    return [(split, kind(root, **{**given, **asked})) for split, asked in row.splits.items()]


def _clear(part: Path, row: Row) -> None:
    """Remove what a killed run has unpacked; archives stay if checksums can tell whole ones from others."""
    if not row.checked:
        shutil.rmtree(part, ignore_errors=True)
    for file in list(part.rglob("*")):
        if file.is_symlink() or (file.is_file() and file.suffix.lower() not in PACKED):
            file.unlink()
    for folder in sorted((p for p in part.rglob("*") if p.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def _take(downloads: Path, part: Path, row: Row) -> None:
    """Provide the archives that the user has put there, as copies where torchvision may overwrite them."""
    target = part / row.folder
    target.mkdir(parents=True, exist_ok=True)
    for file in downloads.iterdir():
        if file.is_file() and row.byhand:
            (target / file.name).symlink_to(file)  # they are large, and only read
        elif file.is_file():
            shutil.copyfile(file, target / file.name)


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Yield a list that receives each URL that is requested, except redirections."""
    asked: list[str] = []

    class Listener(BaseHandler):
        handler_order = 0

        def default_open(self, request: Request) -> None:
            if not request.unverifiable:
                asked.append(request.full_url)

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    install_opener(build_opener(Listener()))
    try:
        yield asked
    finally:
        install_opener(build_opener())
        socket.setdefaulttimeout(before)


def _unfetched(name: str, downloads: Path, asked: list[str], error: Exception) -> UserError:
    if not asked:
        return _damaged(name, downloads, error)
    file = asked[-1].rpartition("/")[2]
    mirrors = "\n  ".join(url for url in dict.fromkeys(asked) if url.endswith(f"/{file}"))
    there = (
        " (the file that is there has another checksum than the published one)" if (downloads / file).exists() else ""
    )
    return UserError(
        f"{name} could not be fetched: {_said(error)}\nfrom\n  {mirrors}\nRun again with a network: dvc repro. Or "
        f"fetch {file} elsewhere, put it, without unpacking it, into\n  {downloads}\nand run again{there}; if more "
        f"files are needed, they are named in turn. About the data set: {ROWS[name].page}"
    )


def _damaged(name: str, folder: Path, error: Exception) -> UserError:
    return UserError(
        f"{name} cannot be read: {_said(error)}\nIts files in\n  {folder}\nare damaged or incomplete: "
        "remove or replace them, and run again: dvc repro"
    )


def _said(error: Exception) -> str:
    words = " ".join(f"{type(error).__name__}: {error}".split())
    return words if len(words) <= 300 else f"{words[:300]} ..."


def _items(row: Row, parts: Parts) -> Iterator[Item]:
    for split, part in parts:
        names = _names(row, part)
        for position in range(len(part)):
            image, number = _read(row, part, position)
            label = names[number] if names else str(number)
            yield Item(image, label, split, _group(image, split) if row.tracks and isinstance(image, Path) else "")


def _names(row: Row, part: Any) -> list[str]:
    """Return unique names of the classes; none where torchvision has only numbers."""
    found = row.classes or getattr(part, "classes", None) or getattr(part, "categories", None) or []
    names = [each if isinstance(each, str) else each[0] for each in found]  # some have synonyms
    return [name if names.count(name) == 1 else f"{name} ({number})" for number, name in enumerate(names)]


def _read(row: Row, part: Any, position: int) -> tuple[Path | np.ndarray, int]:
    """Return an image, as a file if there is one, and the number of its class."""
    if row.images in ("arrays", "loader", "opened"):
        image, number = part[position]
        if row.images == "loader":
            return Path(image), int(number)
        if row.images == "opened":
            with image:
                return Path(image.filename), int(number)
        pixels = np.asarray(image)
        return (pixels.swapaxes(0, 1) if row.turned else pixels), int(number)
    listed = getattr(part, row.images)[position]
    file, number = listed if isinstance(listed, tuple) else (listed, part._labels[position])
    return Path(file), int(number)


def _group(file: Path, split: str) -> str:
    track = file.stem.partition("_")[0] if split == "train" else file.stem  # each test photo has a track of its own
    return f"{split}/{file.parent.name}/{track}"
