"""What a folder of images holds, what is wrong with it, and the settings to use it: for `prepare --check`."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from pipeline import data, manifest, sources
from pipeline.checked import Checked
from pipeline.errors import UserError
from pipeline.facts import Facts
from pipeline.params import Prepare
from pipeline.reading import Plan, read
from pipeline.sources.class_folders import images

CLASSES = 20  # that are listed


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
        reader = sources.reader(root)
        found.facts.append(f"kind: {reader.KIND}")
        table = reader.read(root)
    except UserError as error:
        found.problems.append(str(error))
        return found
    found.problems += sources.problems(root, table, manifest.SHOWN)
    table = sources.settled(table).sort_values("path", ignore_index=True)
    label = _label(table, found)
    found.problems += manifest.column_problems(root, table, label, (), manifest.SHOWN)
    examined = read(plan, table["path"].tolist(), progress(len(table)), wanted.workers, checked)
    known = _usable(root, table, examined, found)
    if label in table:
        _describe(known, label, found)
        _try(known, label, wanted, found)
    unused = sorted({p.relative_to(root).as_posix() for p in images(root, "**/*")} - set(table["path"]))
    if unused:
        found.facts.append(f"not used: {len(unused):,} image file(s) that are no part of it, such as {unused[0]}")
    found.settings = _settings(root, base, label)
    return found


def _label(table: pd.DataFrame, found: Finding) -> str:
    """Return the column to learn: `label`, or the first that could be one."""
    if "label" in table:
        return "label"
    rest = table.drop(columns=["path", "split", "group"], errors="ignore")
    able = [str(name) for name in rest if 2 <= rest[name].nunique() <= len(rest) / 2]
    if not able:
        return "label"
    found.facts.append(f"label: there is no column label; {able[0]} is taken, of {', '.join(able)}")
    return able[0]


def _usable(root: Path, table: pd.DataFrame, facts: Iterable[Facts | str], found: Finding) -> pd.DataFrame:
    """Return the rows whose images can be used, with what is known of each; note those that cannot."""
    kept: list[int] = []
    bad: list[str] = []

    def sound() -> Iterator[Facts]:
        for position, (path, each) in enumerate(zip(table["path"], facts, strict=True)):
            if isinstance(each, str):
                bad.append(f"{manifest.printed(path)}: {each}")
            else:
                kept.append(position)
                yield each

    made = manifest.known(sound())
    if bad:
        found.problems.append(manifest.unusable(root, bad))
    found.facts.append(f"images: {len(table):,}, all decoded in full")
    rows = table.iloc[kept].reset_index(drop=True).drop(columns=manifest.COLUMNS, errors="ignore")
    return pd.concat([rows, made], axis=1)


def _describe(known: pd.DataFrame, label: str, found: Finding) -> None:
    """Note classes, sizes, colour, copies, groups and splits."""
    if known.empty:
        return
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
    if "group" in known and label != "group":
        sizes = known["group"].value_counts()
        found.facts.append(f"groups: {len(sizes):,}, of {sizes.min():,} to {sizes.max():,} images; none is parted")
    sides: dict[Any, int] = dict(known["split"].value_counts()) if "split" in known else {}
    named = ", ".join(f"{name} {sides.get(name, 0):,}" for name in ("train", "valid", "test"))
    found.facts.append(f"split: yours: {named}" if sides else "split: drawn by prepare")


def _try(known: pd.DataFrame, label: str, wanted: Prepare, found: Finding) -> None:
    """Note what no split can mend, and otherwise whether one can be drawn."""
    sound = known[label].str.strip() != ""
    for column in ("split", "group"):
        sound &= known[column].str.strip() != "" if column in known else True
    rows = known[sound]
    if rows.empty:
        return
    rows = rows.reset_index(drop=True)
    rows = manifest.joined(rows.drop(columns=manifest.COLUMNS), rows[manifest.COLUMNS], label, ())
    fractions = wanted.test_fraction, wanted.valid_fraction
    found.problems += manifest.label_problems(rows, *fractions, manifest.SHOWN)
    if not found.problems:
        try:
            data.three_way(rows, *fractions, wanted.seed)
        except UserError as error:
            found.problems.append(str(error))


def _settings(root: Path, base: Path, label: str) -> list[str]:
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", root.resolve().stem).strip("-_") or "images"
    inside = root.resolve().is_relative_to(base.resolve())
    path = root.resolve().relative_to(base.resolve()) if inside else root.resolve()
    lines: dict[str, Any] = {"data.name": name, "data.path": path.as_posix()}
    if label != "label":
        lines["data.label"] = label
    lines |= {"demo": [], "prepare.stratify": [], "register.model": f"headstart-{name}"}
    return [yaml.safe_dump({key: value}, allow_unicode=True, width=1000).strip() for key, value in lines.items()]
