"""Which images of a source are used: what is left out and why, and which look so alike that none are parted."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.common.errors import UserError
from pipeline.config.params import Prepare
from pipeline.data import group_split, manifest, near_duplicates, readers
from pipeline.data.facts import Facts

Read = Callable[[list[str]], Iterator[Facts | str]]  # the facts of each file, or why it cannot be used
Tell = Callable[[str, bool], object]  # is told of a problem, and whether leaving images out fixes it

LARGEST = 0.1  # of the images: where more are joined by their looks, these tell nothing of them
UNUSABLE, UNLABELLED, DISPUTED = "cannot be used", "no label", "copies with different labels"
COPIED, ALIKE = "a copy is a test image of your split", "looks like a test image of your split"


@dataclass
class Vetted:
    """What is used of a source, and what is not."""

    table: pd.DataFrame  # the manifest of what is used; where images look alike, `group` joins them
    excluded: list[tuple[str, str]] = field(default_factory=list)  # path, reason
    marks: dict[str, int] = field(default_factory=dict)  # images by what is special in their files
    notes: list[str] = field(default_factory=list)  # on images that look alike
    read: list[str] = field(default_factory=list)  # paths of the files that were decoded, in that order

    def drop(self, reasons: "pd.Series[str]") -> None:
        """Leave out the rows that have a reason (N,), the others having an empty one."""
        out = (reasons != "").to_numpy()
        self.excluded += list(zip(self.table["path"][out], reasons[out]))
        self.table = self.table[~out].reset_index(drop=True)

    @property
    def kinds(self) -> dict[str, int]:
        """Return how many images were left out, by the kind of reason."""
        return dict(sorted(Counter(reason.split(": ")[0] for _, reason in self.excluded).items()))

    def listing(self) -> pd.DataFrame:
        """Return all that is left out, by path: columns path and reason."""
        return pd.DataFrame(sorted(self.excluded), columns=["path", "reason"])


def refuse(text: str, fixed: bool) -> None:
    """Raise UserError for any problem."""
    raise UserError(text)


def forgive(text: str, fixed: bool) -> None:
    """Raise UserError for a problem that is not fixed by leaving images out."""
    if not fixed:
        raise UserError(text)


def vet(root: Path, table: pd.DataFrame, label: str, wanted: Prepare, read: Read, tell: Tell, shown: int = 1) -> Vetted:
    """Return what is used of a source's table: its sound images, with the facts of each.

    `tell` hears of each problem, with up to `shown` examples; it raises, or the images that are the problem are left
    out.
    """
    for problem in manifest.column_problems(root, table, label, wanted.stratify):
        tell(problem, False)
    found, classes = Vetted(table), table[label].value_counts()
    _unlabelled(root, found, label, tell, shown)
    _unusable(root, found, label, wanted.stratify, read, tell)
    if found.table.empty:
        raise UserError(f"{root}: none of {len(table)} image(s) can be used; {': '.join(found.excluded[0])}, for one")
    for problem in manifest.copy_problems(found.table, shown):
        tell(problem, True)
    found.drop(_disputed(found.table))
    if "split" in found.table:
        for problem in manifest.group_problems(found.table, shown):
            tell(problem, False)
        found.drop(_beside(found.table, _copied(found.table), COPIED))
    if wanted.near_duplicate_bits is not None:
        _keep_together(root, found, wanted.near_duplicate_bits, tell, shown)
    found.table = found.table.drop(columns="look")
    for problem in _lost_classes(root, classes, found.table):
        tell(problem, False)
    for problem in similar_classes(found.table):
        tell(f"{root}: {problem}; give each class one name, or names that differ in more", True)
    return found


def check_folders(root: Path, tell: Tell) -> None:
    """Tell of folders that stand where a class does and hold no image."""
    if empty := readers.empty_classes(root):
        kinds = ", ".join(sorted(suffix[1:] for suffix in readers.class_folders.SUFFIXES))
        tell(f"{root}: {len(empty)} folder(s) of classes hold no image: {', '.join(empty)}; add images ({kinds}), "
             "remove the folders, or pass them over (prepare.on_problem: exclude)", True)  # fmt: skip


def passed_over(root: Path, table: pd.DataFrame) -> list[str]:
    """Return sentences on what `check_folders` and `similar_classes` find, for where it does not stop the run."""
    empty = ", ".join(readers.empty_classes(root))
    return [
        *([f"Folders of classes that hold no image are passed over: {empty}."] if empty else []),
        *(f"There are {problem}; here they are different classes." for problem in similar_classes(table)),
    ]


def _lost_classes(root: Path, before: "pd.Series[int]", table: pd.DataFrame) -> Iterator[str]:
    """Yield what is to be said of classes of which every image was left out; `before` counts images by class."""
    kept = set(table["label"])
    gone = before[[name not in kept and name.strip() != "" for name in before.index]]
    if len(gone):
        named = ", ".join(f"{name!r} ({count:,})" for name, count in gone.sort_index().items())
        yield f"{root}: no image can be used of {named}; fix or replace images of each, or remove all of them"


def similar_classes(table: pd.DataFrame) -> Iterator[str]:
    """Yield which classes differ in case, spaces or Unicode's forms alone; single letters may differ in case."""
    counts = table["label"].value_counts()
    alike: dict[str, list[str]] = {}
    for name in sorted(counts.index):
        plain = " ".join(unicodedata.normalize("NFC", name).split())
        alike.setdefault(plain.casefold() if len(plain) > 1 else plain, []).append(name)
    named = [", ".join(f"{name!r} ({counts[name]:,})" for name in names) for names in alike.values() if len(names) > 1]
    if named:
        yield f"classes whose names differ only in case or spaces: {'; '.join(named)}"


def _unlabelled(root: Path, found: Vetted, label: str, tell: Tell, shown: int) -> None:
    empty = found.table[label].str.strip() == ""
    if empty.any():
        named = ", ".join(found.table["path"][empty][:shown])
        tell(f"{root}: no label for {named} ({empty.sum()} such rows); add labels, {manifest.LEAVE_OUT}", True)
    found.drop(pd.Series(np.where(empty, UNLABELLED, ""), dtype=object))


def _unusable(root: Path, found: Vetted, label: str, stratify: tuple[str, ...], read: Read, tell: Tell) -> None:
    """Read the files; leave out those that cannot be used, and know the others."""
    why, found.read = [""] * len(found.table), found.table["path"].tolist()
    marks: Counter[str] = Counter()

    def sound() -> Iterator[Facts]:
        for row, facts in enumerate(read(found.read)):
            if isinstance(facts, str):
                why[row] = facts
            else:
                marks.update(facts.marks)
                yield facts

    known = manifest.known(sound())
    bad = [(path, text) for path, text in zip(found.table["path"], why) if text]
    if bad:
        tell(manifest.unusable(root, bad), True)
    found.drop(pd.Series([f"{UNUSABLE}: {text}" if text else "" for text in why], dtype=object))
    found.marks = dict(sorted(marks.items()))
    found.table = manifest.joined(found.table, known, label, stratify)


def _disputed(table: pd.DataFrame) -> "pd.Series[str]":
    """Return a reason for every copy of an image whose copies have different labels."""
    of_some = table.groupby("id")["label"].transform("nunique") > 1
    reasons = pd.Series("", index=table.index, dtype=object)
    for _, rows in table[of_some].groupby("id"):
        reasons[rows.index] = f"{DISPUTED}: {manifest.listed(rows, 'label')}"
    return reasons


def _copied(table: pd.DataFrame) -> np.ndarray:
    """Return for each image of train and valid the row of a test image with the same content; -1 without one."""
    test = table[table["split"] == "test"].drop_duplicates("id")
    rows = table["id"].map(pd.Series(test.index, index=test["id"])).fillna(-1).to_numpy(dtype=np.int64)
    return np.where(table["split"] == "test", -1, rows)


def _beside(table: pd.DataFrame, rows: np.ndarray, what: str) -> "pd.Series[str]":
    """Return a reason where `rows` (N,) names a row of test; none where it is -1."""
    named = table["path"].to_numpy()[rows]
    return pd.Series(np.where(rows >= 0, what + ": " + named, ""), index=table.index, dtype=object)


def _keep_together(root: Path, found: Vetted, distance: int, tell: Tell, shown: int) -> None:
    """Join images that look alike in one group; with the user's own split, none may be beside a test image."""
    if "split" in found.table:
        alike, _ = _looks(found.table, distance)
        reasons = _beside(found.table, alike.beside((found.table["split"] == "test").to_numpy()), ALIKE)
        if (out := reasons != "").any():
            named = "; ".join(found.table["path"][out][:shown] + " " + reasons[out][:shown])
            tell(f"{root}: {named} ({out.sum()} such image(s)); look at them, then remove them from one side, leave "
                 "them out of train and valid (prepare.on_problem: exclude), or lower prepare.near_duplicate_bits "
                 "(null for off)", True)  # fmt: skip
        found.drop(reasons)
    alike, ignored = _looks(found.table, distance)
    units = alike.units()
    sizes = pd.Series(found.table["id"]).groupby(units).transform("nunique").to_numpy()
    found.notes += _notes(found.table, alike, ignored, units[sizes > 1])
    if (sizes > 1).any():
        found.table = found.table.assign(group=_names(found.table, units))


def _looks(table: pd.DataFrame, distance: int) -> tuple[near_duplicates.Twins, int]:
    """Return which images look alike, and of how many the looks tell nothing, so that they are like none."""
    found = near_duplicates.find(table["look"].to_numpy(), distance)
    if found is None:
        return near_duplicates.Twins(np.full(len(table), near_duplicates.NONE), np.empty((0, 2), np.int64)), len(table)
    units = found.units()
    contents = np.bincount(units[~table["id"].duplicated().to_numpy()], minlength=units.max() + 1)
    large = (contents > max(2, LARGEST * contents.sum()))[units]
    return found.without(large), int(large.sum())


def _names(table: pd.DataFrame, units: np.ndarray) -> "pd.Series[str]":
    """Return the group of each image: units (N,) and the user's groups, where they share an image, are one.

    Named by what they hold, not by where it lies.
    """
    if "group" not in table:
        return table["id"].groupby(units).transform("min")
    return table["group"].groupby(group_split.joined(units, table["group"].to_numpy())[units]).transform("min")


def _notes(table: pd.DataFrame, alike: near_duplicates.Twins, ignored: int, joined: np.ndarray) -> list[str]:
    """Return what is to be said of images that look alike; `joined` holds the unit of each that is not alone."""
    notes = []
    if len(joined):
        notes.append(f"{len(joined):,} images look like others, in {len(np.unique(joined)):,} groups, none of which "
                     "is parted.")  # fmt: skip
    if ignored:
        notes.append(f"{ignored:,} images look so alike that this tells nothing (they would be a group of more than "
                     f"{LARGEST:.0%} of all), so they may be parted.")  # fmt: skip
    pairs = alike.disagreeing(pd.factorize(table["label"])[0])
    if pairs:
        rows = table[["path", "label"]]
        named = "; ".join(manifest.listed(rows.iloc[list(pair)], "label") for pair in pairs[: manifest.SHOWN])
        notes.append(f"{len(pairs):,} pair(s) of images look alike and have different labels, of which one may be "
                     f"wrong: {named}.")  # fmt: skip
    return notes
