"""From a folder of labelled images to packed splits: read, clean, split, pack."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.common.hashes import digest
from pipeline.common.progress import Progress
from pipeline.config.params import Prepare
from pipeline.data import cleaning, image_set, manifest, readers
from pipeline.data.packed_size import packed_size
from pipeline.data.scan import Plan, Squares, read
from pipeline.data.summary import LISTED, DatasetSummary, ExcludedImages


@dataclass(frozen=True)
class Prepared:
    """What was packed, and notes on it."""

    table: pd.DataFrame  # the manifest, with its splits
    digests: dict[str, str]  # of each folder's content, by its name
    cleaned: cleaning.CleanedImages  # with what was left out
    notes: list[str]  # sentences on how the images were packed and split

    def summary(self, name: str, licence: str = "") -> DatasetSummary:
        """Return the data set's numbers, with its name and licence, as DatasetSummary has them."""
        counts = pd.crosstab(self.table["split"], self.table["label"]).reindex(["train", "valid", "test"])
        first = self.cleaned.listing()[:LISTED].to_numpy().tolist()
        return DatasetSummary(
            name=name,
            digest=digest(self.digests),
            classes=tuple(map(str, counts)),
            counts={str(split): {str(c): int(n) for c, n in row.items()} for split, row in counts.iterrows()},
            images=len(self.table),
            duplicates=int(self.table["id"].duplicated().sum()),
            channels=1 if self.table["grey"].all() else 3,
            excluded=ExcludedImages(kinds=self.cleaned.kinds, first=tuple(map(tuple, first))),
            marks=self.cleaned.marks,
            notes=tuple(self.notes),
            licence=licence,
        )


def licence_of(root: Path) -> str:
    """Return the first line of a file LICENCE or LICENSE, with any ending, in a folder of images; empty without one."""
    if not root.is_dir():
        return ""
    for file in sorted(root.iterdir()):
        if file.stem.lower() in ("licence", "license") and file.is_file():
            with file.open(encoding="utf-8", errors="replace") as lines:
                return next((words for line in lines if (words := " ".join(line.split()))), "")[:300]
    return ""


def prepare(root: Path, label: str, wanted: Prepare, largest: int, dev: Path, test: Path) -> Prepared:
    """Pack the images of a source into two folders, train and valid in `dev`, and `test`.

    `largest` is the largest image_size of any strategy, in pixels. Each file is decoded once. Raise UserError for
    images, labels or splits that cannot be used.
    """
    found = readers.read(root)
    on_problem = cleaning.tolerate if wanted.on_problem == "exclude" else cleaning.refuse
    cleaning.check_folders(root, on_problem)
    size = packed_size(root, list(found["path"]), wanted, largest)
    plan = Plan(root, size.side, wanted.max_pixels, dev.with_name(f".{dev.name}.squares"))
    with Squares(plan) as squares:
        with Progress("reading", len(found), "image") as bar:
            cleaned = cleaning.clean(
                root, found, label, wanted, lambda paths: read(plan, paths, bar.step, wanted.workers), on_problem
            )
        table = _limited(cleaned.table, wanted)
        manifest.check_labels(table, wanted.test_fraction, wanted.valid_fraction)
        parts = image_set.three_way(table, wanted.test_fraction, wanted.valid_fraction, wanted.seed)
        grouped = "group" in found and label != "group"
        notes = [
            *size.notes,
            *_notes_on_split(table, grouped, parts == "test", parts == "valid"),
            *cleaned.notes,
            *cleaning.passed_over(root, table),
        ]
        table = table.drop(columns="split", errors="ignore")
        table.insert(1, "split", parts)
        return Prepared(table, _packed(table, squares, cleaned.read, dev, test), cleaned, notes)


def _limited(table: pd.DataFrame, wanted: Prepare) -> pd.DataFrame:
    """Return at most `prepare.max_images` of the images, stratified."""
    if not wanted.max_images or wanted.max_images >= len(table):
        return table
    ids, strata = table["id"].to_numpy(dtype=str), _kinds(table).to_numpy(dtype=str)
    kept, _ = image_set.stratified_split(ids, strata, len(table) - wanted.max_images, wanted.seed)
    return table.iloc[kept].reset_index(drop=True)


def _kinds(table: pd.DataFrame) -> "pd.Series[str]":
    """Return the strata of which a limit keeps the shares; the sides of the user's split, if any, count as such too."""
    return table["stratum"] + "/" + (table["split"] == "test").astype(str) if "split" in table else table["stratum"]


def _packed(table: pd.DataFrame, squares: Squares, read: list[str], dev: Path, test: Path) -> dict[str, str]:
    """Pack both folders; `read` holds the paths of the images in the order of the squares."""
    classes, grey, places = sorted(table["label"].unique()), bool(table["grey"].all()), pd.Index(read)
    digests = {}
    with Progress("packing", len(table), "image") as bar:
        for folder, chosen in ((dev, table["split"] != "test"), (test, table["split"] == "test")):
            rows = table[chosen].reset_index(drop=True)
            at = places.get_indexer(pd.Index(rows["path"]))
            digests[folder.name] = manifest.pack(rows, squares, at, folder, classes, grey, bar.step)
    return digests


def _notes_on_split(table: pd.DataFrame, grouped: bool, test: np.ndarray, valid: np.ndarray) -> list[str]:
    """Describe a split that is the user's own, or that keeps the user's groups together."""
    notes = []
    if "split" in table:
        counts = table["split"].value_counts()
        notes.append(
            f"The {test.sum()} test images are those of your split. Its {counts.get('train', 0)} train and "
            f"{counts.get('valid', 0)} valid images are pooled: each seed draws its own train and valid from them."
        )
    if grouped:
        notes.append(
            f"None of {table['group'].nunique()} groups is in two splits: test has {test.mean():.1%} of the images, "
            f"valid {valid.sum() / (~test).sum():.1%} of the rest."
        )
    if "weight" in table:
        weights = table["weight"].astype(float)
        notes.append(
            f"In training an image counts by its weight, from {weights.min():g} to {weights.max():g}; in scores all "
            "images count equally."
        )
    return notes
