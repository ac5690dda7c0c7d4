"""Inspect a folder of images: what it holds and what is wrong with it, without changing anything."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from pipeline.common.errors import UserError
from pipeline.config.params import Prepare
from pipeline.data import cleaning, image_set, manifest, readers
from pipeline.data.image_facts import ImageFacts
from pipeline.data.packed_size import PackedSize, packed_size
from pipeline.data.readers.class_folders import images
from pipeline.data.scan import Plan, read

DISTANCE: int = Prepare.model_fields["near_duplicate_bits"].default  # between near duplicates, in bits

Progress = Callable[[int], Callable[[int], object]]  # takes the number of images; returns a function to call after each


@dataclass
class Inspection:
    """The result of an inspection."""

    root: Path
    kind: str = ""  # in words; empty where no reader recognises the folder
    images: int = 0  # listed by the source
    label: str = "label"  # the column to learn
    candidates: list[str] = field(default_factory=list)  # columns that could be learned, where none is called label
    used: cleaning.CleanedImages | None = None  # what can be used; None where nothing can
    unreadable: list[tuple[str, str]] = field(default_factory=list)  # path and why, of files that cannot be used
    unused: list[str] = field(default_factory=list)  # image files that the source does not list
    notes: list[str] = field(default_factory=list)  # sentences on what does not stop a run
    problems: list[str] = field(default_factory=list)  # sentences on what does

    @property
    def left_out(self) -> pd.DataFrame:
        """List what cannot be used, sorted by path: columns path and reason."""
        if self.used is not None:
            return self.used.listing()
        return pd.DataFrame(sorted(self.unreadable), columns=["path", "reason"])

    @property
    def kinds(self) -> dict[str, int]:
        """Count the images that cannot be used, by kind of reason."""
        return dict(self.left_out["reason"].str.split(": ").str[0].value_counts().sort_index())


def inspect(root: Path, wanted: Prepare, largest: int, progress: Progress) -> Inspection:
    """Inspect a folder, or file, of images; every image is decoded in full.

    `largest` is the largest image_size of any strategy, in pixels.
    """
    found = Inspection(root)
    try:
        reader = readers.reader(root)
        found.kind = reader.KIND
        table = reader.read(root)
    except UserError as error:
        found.problems.append(str(error))
        return found
    found.images = len(table)
    found.problems += readers.problems(root, table, manifest.SHOWN)
    table = readers.normalise_splits(table).sort_values("path", ignore_index=True)
    found.unused = sorted({p.relative_to(root).as_posix() for p in images(root, "**/*")} - set(table["path"]))
    _choose_label(table, found)
    if found.label in table:
        _clean(table, wanted, packed_size(root, list(table["path"]), wanted, largest), progress, found)
    else:
        found.problems += manifest.column_problems(root, table, found.label, ())
    if found.used is not None:
        _try_splits(found.used.table, wanted, found)
    return found


def _choose_label(table: pd.DataFrame, found: Inspection) -> None:
    """Choose the column to learn: `label`, or the first that could be one."""
    if "label" not in table:
        rest = table.drop(columns=["path", "split", "group", "weight"], errors="ignore")
        found.candidates = [str(name) for name in rest if 2 <= rest[name].nunique() <= len(rest) / 2]
        found.label = next(iter(found.candidates), "label")


def _clean(table: pd.DataFrame, wanted: Prepare, size: PackedSize, progress: Progress, found: Inspection) -> None:
    """Find what can be used of the rows that have a split and a group, and what is wrong with the others."""
    plan = Plan(found.root, size.side, wanted.max_pixels)
    sound = pd.Series(True, index=table.index)
    for column in ("split", "group"):
        sound &= table[column].str.strip() != "" if column in table else True
    distance = DISTANCE if wanted.near_duplicate_bits is None else wanted.near_duplicate_bits
    ours = wanted.model_copy(update={"stratify": (), "near_duplicate_bits": distance})
    lenient = wanted.on_problem == "exclude"

    def on_problem(problem: str, solvable: bool) -> None:
        if not (solvable and lenient):
            found.problems.append(problem)

    def facts(paths: list[str]) -> Iterator[ImageFacts | str]:
        for path, each in zip(paths, read(plan, paths, progress(len(paths)), wanted.workers)):
            if isinstance(each, str):
                found.unreadable.append((path, f"{cleaning.UNUSABLE}: {each}"))
            yield each

    try:
        cleaning.check_folders(plan.root, on_problem)
        rows = table[sound].reset_index(drop=True)
        found.used = cleaning.clean(plan.root, rows, found.label, ours, facts, on_problem, manifest.SHOWN)
    except UserError as error:
        found.problems.append(str(error))
        return
    found.notes += [*size.notes, *found.used.notes]
    if lenient:
        found.notes += cleaning.passed_over(plan.root, found.used.table)


def _try_splits(rows: pd.DataFrame, wanted: Prepare, found: Inspection) -> None:
    """Find out whether the splits can be drawn."""
    fractions = wanted.test_fraction, wanted.valid_fraction
    found.problems += manifest.class_problems(rows, *fractions)  # cleaning has reported all others
    if not found.problems:
        try:
            image_set.three_way(rows, *fractions, wanted.seed)
        except UserError as error:
            found.problems.append(str(error))
