"""What a folder of images holds and what is wrong with it, found without changing anything."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from pipeline.common.errors import UserError
from pipeline.config.params import Prepare
from pipeline.data import cleaning, image_set, manifest, readers
from pipeline.data.facts import Facts
from pipeline.data.readers.class_folders import images
from pipeline.data.scan import Plan, read

DISTANCE: int = Prepare.model_fields["near_duplicate_bits"].default  # at which images are taken to look alike

Progress = Callable[[int], Callable[[int], object]]  # given the number of images, returns what is told of each step


@dataclass
class Inspection:
    """What was found."""

    root: Path
    kind: str = ""  # in words; empty where no reader knows the folder
    images: int = 0  # that the source names
    label: str = "label"  # the column to learn
    candidates: list[str] = field(default_factory=list)  # columns that could be learned, where none is called label
    used: cleaning.Vetted | None = None  # what can be used; None where nothing can
    unreadable: list[tuple[str, str]] = field(default_factory=list)  # path and why, of files that cannot be used
    unused: list[str] = field(default_factory=list)  # image files that are no part of the source
    notes: list[str] = field(default_factory=list)  # what does not stop a run, in sentences
    problems: list[str] = field(default_factory=list)  # what does

    @property
    def left_out(self) -> pd.DataFrame:
        """Return what cannot be used, by path: columns path and reason."""
        if self.used is not None:
            return self.used.listing()
        return pd.DataFrame(sorted(self.unreadable), columns=["path", "reason"])

    @property
    def kinds(self) -> dict[str, int]:
        """Return how many images cannot be used, by the kind of reason."""
        return dict(self.left_out["reason"].str.split(": ").str[0].value_counts().sort_index())


def inspect(plan: Plan, wanted: Prepare, progress: Progress) -> Inspection:
    """Look at a folder, or file, of images; every file is decoded in full."""
    found = Inspection(plan.root)
    try:
        reader = readers.reader(plan.root)
        found.kind = reader.KIND
        table = reader.read(plan.root)
    except UserError as error:
        found.problems.append(str(error))
        return found
    found.images = len(table)
    found.problems += readers.problems(plan.root, table, manifest.SHOWN)
    table = readers.settled(table).sort_values("path", ignore_index=True)
    found.unused = sorted({p.relative_to(plan.root).as_posix() for p in images(plan.root, "**/*")} - set(table["path"]))
    _choose_label(table, found)
    if found.label in table:
        _vet(plan, table, wanted, progress, found)
    else:
        found.problems += manifest.column_problems(plan.root, table, found.label, ())
    if found.used is not None:
        _try_splits(found.used.table, wanted, found)
    return found


def _choose_label(table: pd.DataFrame, found: Inspection) -> None:
    """Note the column to learn: `label`, or the first that could be one."""
    if "label" not in table:
        rest = table.drop(columns=["path", "split", "group", "weight"], errors="ignore")
        found.candidates = [str(name) for name in rest if 2 <= rest[name].nunique() <= len(rest) / 2]
        found.label = next(iter(found.candidates), "label")


def _vet(plan: Plan, table: pd.DataFrame, wanted: Prepare, progress: Progress, found: Inspection) -> None:
    """Note what can be used of the rows that have a split and a group, what cannot, and what that would mean."""
    sound = pd.Series(True, index=table.index)
    for column in ("split", "group"):
        sound &= table[column].str.strip() != "" if column in table else True
    distance = DISTANCE if wanted.near_duplicate_bits is None else wanted.near_duplicate_bits
    ours = wanted.model_copy(update={"stratify": (), "near_duplicate_bits": distance})
    lenient = wanted.on_problem == "exclude"

    def tell(problem: str, fixed: bool) -> None:
        if not (fixed and lenient):
            found.problems.append(problem)

    def facts(paths: list[str]) -> Iterator[Facts | str]:
        for path, each in zip(paths, read(plan, paths, progress(len(paths)), wanted.workers)):
            if isinstance(each, str):
                found.unreadable.append((path, f"{cleaning.UNUSABLE}: {each}"))
            yield each

    try:
        cleaning.check_folders(plan.root, tell)
        rows = table[sound].reset_index(drop=True)
        found.used = cleaning.vet(plan.root, rows, found.label, ours, facts, tell, manifest.SHOWN)
    except UserError as error:
        found.problems.append(str(error))
        return
    found.notes += found.used.notes
    if lenient:
        found.notes += cleaning.passed_over(plan.root, found.used.table)


def _try_splits(rows: pd.DataFrame, wanted: Prepare, found: Inspection) -> None:
    """Note what no split can fix, and otherwise whether one can be drawn."""
    fractions = wanted.test_fraction, wanted.valid_fraction
    found.problems += manifest.class_problems(rows, *fractions)  # of all else, vetting has told
    if not found.problems:
        try:
            image_set.three_way(rows, *fractions, wanted.seed)
        except UserError as error:
            found.problems.append(str(error))
