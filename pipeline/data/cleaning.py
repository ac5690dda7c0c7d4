"""Which images are used: what is left out and why, and which near duplicates have to stay in one split."""

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
from pipeline.data.image_facts import ImageFacts

Read = Callable[[list[str]], Iterator[ImageFacts | str]]  # the facts of each file, or why it cannot be used
OnProblem = Callable[[str, bool], object]  # takes a problem, and whether leaving images out would solve it

LARGEST = 0.1  # of the images: a larger group of near duplicates says that the hash does not tell these images apart
UNUSABLE, UNLABELLED, DISPUTED = "cannot be used", "no label", "copies with different labels"
COPIED, ALIKE = "a copy is a test image of your split", "looks like a test image of your split"


@dataclass
class CleanedImages:
    """What is used of a source, and what is not."""

    table: pd.DataFrame  # the manifest of what is used; near duplicates share a `group`
    excluded: list[tuple[str, str]] = field(default_factory=list)  # path, reason
    marks: dict[str, int] = field(default_factory=dict)  # number of images by what is special about their files
    notes: list[str] = field(default_factory=list)  # on near duplicates
    read: list[str] = field(default_factory=list)  # paths of the files that were decoded, in that order

    def drop(self, reasons: "pd.Series[str]") -> None:
        """Leave out the rows with a reason; `reasons` (N,) is empty for the others."""
        out = (reasons != "").to_numpy()
        self.excluded += list(zip(self.table["path"][out], reasons[out]))
        self.table = self.table[~out].reset_index(drop=True)

    @property
    def kinds(self) -> dict[str, int]:
        """Count the images left out, by kind of reason."""
        return dict(sorted(Counter(reason.split(": ")[0] for _, reason in self.excluded).items()))

    def listing(self) -> pd.DataFrame:
        """List everything left out, sorted by path: columns path and reason."""
        return pd.DataFrame(sorted(self.excluded), columns=["path", "reason"])


def refuse(problem: str, solvable: bool) -> None:
    """Raise UserError for any problem."""
    raise UserError(problem)


def tolerate(problem: str, solvable: bool) -> None:
    """Raise UserError for a problem that leaving images out does not solve."""
    if not solvable:
        raise UserError(problem)


def clean(
    root: Path, table: pd.DataFrame, label: str, wanted: Prepare, read: Read, on_problem: OnProblem, shown: int = 1
) -> CleanedImages:
    """Select the usable images of a source's table, and add the facts of each.

    `on_problem` is called for each problem, with up to `shown` examples. If it does not raise, the images at fault are
    left out. Raise UserError where no image can be used.
    """
    for problem in manifest.column_problems(root, table, label, wanted.stratify):
        on_problem(problem, False)
    found, classes = CleanedImages(table), table[label].value_counts()
    _unlabelled(root, found, label, on_problem, shown)
    _unusable(root, found, label, wanted.stratify, read, on_problem)
    if found.table.empty:
        raise UserError(f"{root}: none of {len(table)} image(s) can be used; {': '.join(found.excluded[0])}, for one")
    for problem in manifest.copy_problems(found.table, shown):
        on_problem(problem, True)
    found.drop(_disputed(found.table))
    if "split" in found.table:
        for problem in manifest.group_problems(found.table, shown):
            on_problem(problem, False)
        found.drop(_leaks(found.table, _copied(found.table), COPIED))
    if wanted.near_duplicate_bits is not None:
        _keep_together(root, found, wanted.near_duplicate_bits, on_problem, shown)
    found.table = found.table.drop(columns="phash")
    for problem in _lost_classes(root, classes, found.table):
        on_problem(problem, False)
    for problem in similar_classes(found.table):
        on_problem(f"{root}: {problem}; use one name per class, or names that differ more clearly", True)
    return found


def check_folders(root: Path, on_problem: OnProblem) -> None:
    """Report folders that are named like a class but hold no image."""
    if empty := readers.empty_classes(root):
        kinds = ", ".join(sorted(suffix[1:] for suffix in readers.class_folders.SUFFIXES))
        on_problem(f"{root}: {len(empty)} class folder(s) hold no image: {', '.join(empty)}; add images ({kinds}), "
             "remove the folders, or ignore them (prepare.on_problem: exclude)", True)  # fmt: skip


def passed_over(root: Path, table: pd.DataFrame) -> list[str]:
    """Describe in sentences what `check_folders` and `similar_classes` find where it does not stop the run."""
    empty = ", ".join(readers.empty_classes(root))
    return [
        *([f"Class folders without images are ignored: {empty}."] if empty else []),
        *(f"There are {problem}; they are treated as different classes." for problem in similar_classes(table)),
    ]


def _lost_classes(root: Path, before: "pd.Series[int]", table: pd.DataFrame) -> Iterator[str]:
    """Yield a problem if every image of a class was left out; `before` counts images by class."""
    kept = set(table["label"])
    gone = before[[name not in kept and name.strip() != "" for name in before.index]]
    if len(gone):
        named = ", ".join(f"{name!r} ({count:,})" for name, count in gone.sort_index().items())
        yield f"{root}: no image of {named} can be used; fix or replace some, or remove the class"


def similar_classes(table: pd.DataFrame) -> Iterator[str]:
    """Yield the classes that differ only in case, spaces or Unicode form; single letters may differ in case."""
    counts = table["label"].value_counts()
    alike: dict[str, list[str]] = {}
    for name in sorted(counts.index):
        plain = " ".join(unicodedata.normalize("NFC", name).split())
        alike.setdefault(plain.casefold() if len(plain) > 1 else plain, []).append(name)
    named = [", ".join(f"{name!r} ({counts[name]:,})" for name in names) for names in alike.values() if len(names) > 1]
    if named:
        yield f"classes whose names differ only in case or spaces: {'; '.join(named)}"


def _unlabelled(root: Path, found: CleanedImages, label: str, on_problem: OnProblem, shown: int) -> None:
    empty = found.table[label].str.strip() == ""
    if empty.any():
        named = ", ".join(found.table["path"][empty][:shown])
        on_problem(f"{root}: no label for {named} ({empty.sum()} such rows); add labels, {manifest.LEAVE_OUT}", True)
    found.drop(pd.Series(np.where(empty, UNLABELLED, ""), dtype=object))


def _unusable(
    root: Path, found: CleanedImages, label: str, stratify: tuple[str, ...], read: Read, on_problem: OnProblem
) -> None:
    """Read the files; leave out those that cannot be used, and add the facts of the others."""
    why, found.read = [""] * len(found.table), found.table["path"].tolist()
    marks: Counter[str] = Counter()

    def sound() -> Iterator[ImageFacts]:
        for row, facts in enumerate(read(found.read)):
            if isinstance(facts, str):
                why[row] = facts
            else:
                marks.update(facts.marks)
                yield facts

    known = manifest.facts_table(sound())
    bad = [(path, text) for path, text in zip(found.table["path"], why) if text]
    if bad:
        on_problem(manifest.unusable(root, bad), True)
    found.drop(pd.Series([f"{UNUSABLE}: {text}" if text else "" for text in why], dtype=object))
    found.marks = dict(sorted(marks.items()))
    found.table = manifest.with_facts(found.table, known, label, stratify)


def _disputed(table: pd.DataFrame) -> "pd.Series[str]":
    """Give every image a reason whose copies have different labels."""
    of_some = table.groupby("id")["label"].transform("nunique") > 1
    reasons = pd.Series("", index=table.index, dtype=object)
    for _, rows in table[of_some].groupby("id"):
        reasons[rows.index] = f"{DISPUTED}: {manifest.listed(rows, 'label')}"
    return reasons


def _copied(table: pd.DataFrame) -> np.ndarray:
    """Find the row of a test image with the same content for each image of train and valid; -1 where there is none."""
    test = table[table["split"] == "test"].drop_duplicates("id")
    rows = table["id"].map(pd.Series(test.index, index=test["id"])).fillna(-1).to_numpy(dtype=np.int64)
    return np.where(table["split"] == "test", -1, rows)


def _leaks(table: pd.DataFrame, rows: np.ndarray, what: str) -> "pd.Series[str]":
    """Give an image a reason where `rows` (N,) holds the row of a test image rather than -1."""
    named = table["path"].to_numpy()[rows]
    return pd.Series(np.where(rows >= 0, what + ": " + named, ""), index=table.index, dtype=object)


def _keep_together(root: Path, found: CleanedImages, distance: int, on_problem: OnProblem, shown: int) -> None:
    """Put near duplicates into one group; of the user's own split, leave out those of a test image."""
    if "split" in found.table:
        alike, _ = _near_duplicates(found.table, distance)
        reasons = _leaks(found.table, alike.matches((found.table["split"] == "test").to_numpy()), ALIKE)
        if (out := reasons != "").any():
            named = "; ".join(found.table["path"][out][:shown] + " " + reasons[out][:shown])
            on_problem(f"{root}: {named} ({out.sum()} such image(s)); look at them, then remove them from one side, "
                       "leave them out of train and valid (prepare.on_problem: exclude), or lower "
                       "prepare.near_duplicate_bits (null for off)", True)  # fmt: skip
        found.drop(reasons)
    alike, ignored = _near_duplicates(found.table, distance)
    components = alike.components()
    sizes = pd.Series(found.table["id"]).groupby(components).transform("nunique").to_numpy()
    found.notes += _notes(found.table, alike, ignored, components[sizes > 1])
    if (sizes > 1).any():
        found.table = found.table.assign(group=_groups(found.table, components))


def _near_duplicates(table: pd.DataFrame, distance: int) -> tuple[near_duplicates.NearDuplicates, int]:
    """Find near duplicates; groups too large to mean anything are ignored, and their images counted."""
    found = near_duplicates.find(table["phash"].to_numpy(), distance)
    if found is None:
        none = np.full(len(table), near_duplicates.NONE), np.empty((0, 2), np.int64)
        return near_duplicates.NearDuplicates(*none), len(table)
    components = found.components()
    contents = np.bincount(components[~table["id"].duplicated().to_numpy()], minlength=components.max() + 1)
    large = (contents > max(2, LARGEST * contents.sum()))[components]
    return found.without(large), int(large.sum())


def _groups(table: pd.DataFrame, components: np.ndarray) -> "pd.Series[str]":
    """Name the group of each image: `components` (N,) and the user's groups are merged where they share an image.

    Names come from the content of images, not from their place.
    """
    if "group" not in table:
        return table["id"].groupby(components).transform("min")
    merged = group_split.joined(components, table["group"].to_numpy())[components]
    return table["group"].groupby(merged).transform("min")


def _notes(table: pd.DataFrame, alike: near_duplicates.NearDuplicates, ignored: int, joined: np.ndarray) -> list[str]:
    """Describe the near duplicates; `joined` holds the component of each image that has any."""
    notes = []
    if len(joined):
        notes.append(f"{len(joined):,} images are near duplicates, in {len(np.unique(joined)):,} groups; each group "
                     "stays in one split.")  # fmt: skip
    if ignored:
        notes.append(f"{ignored:,} images look so much alike (a group of more than {LARGEST:.0%} of all images) that "
                     "they are not treated as near duplicates and may be in different splits.")  # fmt: skip
    pairs = alike.conflicts(pd.factorize(table["label"])[0])
    if pairs:
        rows = table[["path", "label"]]
        named = "; ".join(manifest.listed(rows.iloc[list(pair)], "label") for pair in pairs[: manifest.SHOWN])
        notes.append(f"{len(pairs):,} pair(s) of near duplicates have different labels, one of which may be wrong: "
                     f"{named}.")  # fmt: skip
    return notes
