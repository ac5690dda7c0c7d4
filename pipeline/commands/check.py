"""What a folder of images holds, what is wrong with it, and the settings to use it: for `prepare --check`."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from pipeline.common.errors import UserError
from pipeline.config.metric_names import settled
from pipeline.config.params import Prepare
from pipeline.data import cleaning, image_set, manifest, readers
from pipeline.data.checked import Checked
from pipeline.data.facts import Facts
from pipeline.data.readers.class_folders import images
from pipeline.data.scan import Plan, read
from pipeline.data.summary import handled, left_out
from pipeline.verdict import formatting
from pipeline.verdict.sentences.metric import metric_sentence

CLASSES = 20  # that are listed
DISTANCE = Prepare.model_fields["near_duplicate_bits"].default  # at which images are taken to look alike


@dataclass
class Finding:
    """What was found: lines of what is there, problems, and the lines of params.yaml that use it."""

    facts: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return it as a person reads it."""
        lines = [*self.facts, "", f"{len(self.problems) or 'no'} problem(s)", *(f"- {each}" for each in self.problems)]
        if self.settings:
            lines += ["", "Lines of params.yaml to change (a dot stands for a level):", "", *self.settings]
        return "\n".join(lines)


def inspect(
    plan: Plan, base: Path, wanted: Prepare, checked: Checked, progress: Callable[[int], Callable[[int], object]]
) -> Finding:
    """Look at a folder, or file, of images; `base` is where paths in params.yaml begin.

    `progress` is given the number of images and returns what is told of each step.
    """
    root = plan.root
    found = Finding([f"{root}"])
    try:
        reader = readers.reader(root)
        found.facts.append(f"kind: {reader.KIND}")
        table = reader.read(root)
    except UserError as error:
        found.problems.append(str(error))
        return found
    found.problems += readers.problems(root, table, manifest.SHOWN)
    table = readers.settled(table).sort_values("path", ignore_index=True)
    label = _label(table, found)
    if label in table:

        def facts(paths: list[str]) -> Iterator[Facts | str]:
            return read(plan, paths, progress(len(paths)), wanted.workers, checked)

        vetted = _vetted(root, table, label, wanted, facts, found)
        if vetted is not None:
            _describe(vetted, label, found)
            _try(vetted.table, wanted, found)
    else:
        found.problems += manifest.column_problems(root, table, label, ())
    unused = sorted({p.relative_to(root).as_posix() for p in images(root, "**/*")} - set(table["path"]))
    if unused:
        found.facts.append(f"not used: {len(unused):,} image file(s) that are no part of it, such as {unused[0]}")
    found.settings = _settings(root, base, label, wanted)
    return found


def _label(table: pd.DataFrame, found: Finding) -> str:
    """Return the column to learn: `label`, or the first that could be one."""
    if "label" in table:
        return "label"
    rest = table.drop(columns=["path", "split", "group", "weight"], errors="ignore")
    able = [str(name) for name in rest if 2 <= rest[name].nunique() <= len(rest) / 2]
    if not able:
        return "label"
    found.facts.append(f"label: there is no column label; {able[0]} is taken, of {', '.join(able)}")
    return able[0]


def _vetted(
    root: Path, table: pd.DataFrame, label: str, wanted: Prepare, facts: cleaning.Read, found: Finding
) -> cleaning.Vetted | None:
    """Return what can be used of the rows that have a split and a group; note what cannot, and what that would mean."""
    sound = pd.Series(True, index=table.index)
    for column in ("split", "group"):
        sound &= table[column].str.strip() != "" if column in table else True
    distance = DISTANCE if wanted.near_duplicate_bits is None else wanted.near_duplicate_bits
    ours = wanted.model_copy(update={"stratify": (), "near_duplicate_bits": distance})
    lenient = wanted.on_problem == "exclude"

    def tell(problem: str, mended: bool) -> None:
        if not (mended and lenient):
            found.problems.append(problem)

    found.facts.append(f"images: {len(table):,}, all decoded in full")
    try:
        rows = table[sound].reset_index(drop=True)
        vetted = cleaning.vet(root, rows, label, ours, facts, tell, manifest.SHOWN)
    except UserError as error:
        found.problems.append(str(error))
        return None
    if vetted.excluded:
        how = "left out" if lenient else "prepare.on_problem: exclude would leave out"
        found.facts.append(f"{how}: {left_out(vetted.kinds)}")
        found.facts += [
            f"  {manifest.printed(path)}: {why}" for path, why in vetted.excluded[: manifest.SHOWN] if lenient
        ]
    if vetted.marks:
        found.facts.append(f"not taken as they are: {handled(vetted.marks)}")
    found.facts += vetted.notes
    return vetted


def _describe(vetted: cleaning.Vetted, label: str, found: Finding) -> None:
    """Note classes, sizes, colour, copies, groups and splits."""
    known = vetted.table
    counts = known[label].value_counts(sort=False).sort_index()
    listed = ", ".join(f"{name} {count:,}" for name, count in counts[:CLASSES].items())
    more = f" and {len(counts) - CLASSES} more" if len(counts) > CLASSES else ""
    order = (known["width"] * known["height"]).sort_values().index[[0, -1]]
    ends = [f"{known['width'][row]}x{known['height'][row]}" for row in order]
    found.facts += [
        f"classes: {len(counts)}: {listed}{more}",
        f"sizes: {' to '.join(dict.fromkeys(ends))} pixels, {'grey' if known['grey'].all() else 'colour'}",
        f"exact copies: {known['id'].duplicated().sum():,}",
    ]
    if "group" in known:
        sizes = known["group"].value_counts()
        found.facts.append(f"groups: {len(sizes):,}, of {sizes.min():,} to {sizes.max():,} images; none is parted")
    if "weight" in known and label != "weight":
        found.facts.append("weight: what each image counts in training; scores count all alike")
    sides: dict[Any, int] = dict(known["split"].value_counts()) if "split" in known else {}
    named = ", ".join(f"{name} {sides.get(name, 0):,}" for name in ("train", "valid", "test"))
    found.facts.append(f"split: yours: {named}" if sides else "split: drawn by prepare")


def _try(rows: pd.DataFrame, wanted: Prepare, found: Finding) -> None:
    """Note what no split can mend, and otherwise whether one can be drawn and by what it is scored."""
    fractions = wanted.test_fraction, wanted.valid_fraction
    found.problems += manifest.class_problems(rows, *fractions)  # of all else, vetting has told
    if not found.problems:
        try:
            image_set.three_way(rows, *fractions, wanted.seed)
        except UserError as error:
            found.problems.append(str(error))
    trained = rows[rows["split"] != "test"] if "split" in rows else rows
    counts = dict(trained["label"].value_counts())
    metric = settled("auto", counts)
    if metric != "accuracy":
        why = metric_sentence(metric, counts)
        found.facts.append(f"compare.metric: auto is {formatting.called(metric)}: {why}")


def _settings(root: Path, base: Path, label: str, wanted: Prepare) -> list[str]:
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", root.resolve().stem).strip("-_") or "images"
    inside = root.resolve().is_relative_to(base.resolve())
    path = root.resolve().relative_to(base.resolve()) if inside else root.resolve()
    lines: dict[str, Any] = {"data.name": name, "data.path": path.as_posix()}
    if label != "label":
        lines["data.label"] = label
    lines |= {"download": [], "prepare.stratify": [], "register.model": f"headstart-{name}"}
    if wanted.near_duplicate_bits is None:
        lines["prepare.near_duplicate_bits"] = DISTANCE
    return [yaml.safe_dump({key: value}, allow_unicode=True, width=1000).strip() for key, value in lines.items()]
