"""Lay images out as a user would: files with a labels.csv, or packed arrays."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import pandas as pd

from pipeline.common.errors import UserError

Steps = Callable[[int], Callable[[int], object]]  # takes the number of images; returns a function to call after each


class Item(NamedTuple):
    """An image, as a file or as uint8 pixels (H, W) or (H, W, C); its label; split and group, "" for none."""

    image: Path | np.ndarray
    label: str
    split: str = ""
    group: str = ""


@contextmanager
def fresh(out: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `out` when the block ends without an error, and is removed otherwise.

    Raise UserError where `out` exists and is not empty, or cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: exists already; remove it, or choose another folder")
    part = out.with_name(f".{out.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
        part.mkdir(parents=True)
        yield part
        part.replace(out)
    except OSError as error:
        raise UserError(
            f"{error.filename or out}: {error.strerror or error}; free space or change permissions, then run again"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def as_files(out: Path, root: Path, items: Iterable[Item], step: Callable[[int], object]) -> int:
    """Copy image files, keeping their paths below root, and write labels.csv; return the number of images.

    Columns are path, label and, if any image has them, split and group; rows are sorted by path.
    """
    rows = []
    for item in items:
        assert isinstance(item.image, Path)
        path = item.image.relative_to(root)
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(item.image, out / path)
        rows.append((path.as_posix(), *item[1:]))
        step(1)
    rows.sort()
    table = pd.DataFrame(rows, columns=["path", "label", "split", "group"])
    unused = [name for name in ("split", "group") if not table[name].any()]
    table.drop(columns=unused).to_csv(out / "labels.csv", index=False, lineterminator="\n")
    return len(rows)


def as_arrays(out: Path, items: Iterable[Item], step: Callable[[int], object]) -> int:
    """Write images.npy, labels.npy and, if there are splits, split.npy; return the number of images.

    Images are written one by one. Raise ValueError where one has another shape than the first.
    """
    labels: list[str] = []
    splits: list[str] = []
    shape: tuple[int, ...] = ()
    with (out / "images.npy").open("wb") as file:
        for item in items:
            assert isinstance(item.image, np.ndarray)
            if not labels:
                shape = item.image.shape
                start = _write_header(file, (0, *shape))
            if item.image.shape != shape:
                raise ValueError(f"image {len(labels)} has the shape {item.image.shape}, those before it {shape}")
            file.write(item.image.astype(np.uint8, copy=False).tobytes())
            labels.append(item.label)
            splits.append(item.split)
            step(1)
        if not labels:
            raise ValueError("there are no images")
        file.seek(0)
        assert _write_header(file, (len(labels), *shape)) == start, "numpy leaves room for the number to grow"
    np.save(out / "labels.npy", np.array(labels))
    if any(splits):
        np.save(out / "split.npy", np.array(splits))
    return len(labels)


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> int:
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.tell()
