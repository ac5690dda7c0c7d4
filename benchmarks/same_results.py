"""Compare every number and name in two folders of results, of which one may come from an older commit.

    python -m benchmarks.same_results OLD/results NEW/results

JSON is compared by path and CSV by cell, without any tolerance. Keys that were renamed or moved since commit 63cdc38
are mapped; sentences, pictures, times and digests of models are left out. What differs is printed; the exit status is 1
if anything does.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

RENAMED = {  # keys of JSON and columns of CSV, wherever they stand
    "average": "tta", "balance": "class_weight_power", "by_luck": "p_permutation", "catalog": "backbone_aliases",
    "ci95": "ci", "crossed": "per_backbone", "depth_decay": "layer_decay", "generation": "trials_per_round",
    "keep": "promote_fraction", "min_gain": "min_gain_over_majority", "near_duplicates": "near_duplicate_bits",
    "stretch": "epoch_scaling", "told": "significant",
}  # fmt: skip
METRICS = "accuracy|balanced_accuracy|roc_auc|log_loss"
MOVED = [  # (pattern, replacement) of `file:key/key/...`, after the renaming
    (r"^comparison\.json:(recommended|significant)$", r"verdict.json:unconstrained/\1"),
    (rf"^(comparison\.json:strategies/[^/]+/curve/\d+)/({METRICS})/", r"\1/scores/\2/"),
    (rf"^(comparison\.json:pairs/\d+)/({METRICS})/", r"\1/differences/\2/"),
    (r"^(comparison\.json:ranking/backbones/\d+/outcomes)/head alone$", r"\1/heads"),
    (r"^(comparison\.json:ranking/backbones/\d+/outcomes)/fine-tuned$", r"\1/tuned"),
]
VALUES = {"head alone": "heads", "fine-tuned": "tuned", "cannot be told here": "inconclusive"}  # renamed too
IGNORED = re.compile(
    "|".join(
        [
            r":schema_version$",
            r"^comparison\.json:(verdict|metric_reason|metric_is_auto|fractions/\d+)$",
            r"^comparison\.json:dataset/(notes|excluded/first)/",
            r"^comparison\.json:crossovers/\d+/(sentence|metric|overtaker|crossings)$",
            r"^comparison\.json:ranking/(said|titles|kinds)",
            r"^verdict\.json:(reason|claims_note|changes/\d+|unconstrained/sentence)$",
            r"^verdict\.json:excluded/[^/]+/\d+$",
            r"^verdict\.json:claims/\d+/(claim|evidence)$",
            r"^data/summary\.json:(notes|excluded/first)/",
            r"^data/excluded\.csv:reason$",
            r"^registry\.json:versions/[^/]+/digest$",  # of a model's recipe too, whose keys were renamed
        ]
    )
)
SHOWN = 40  # differences


def main(argv: Sequence[str] | None = None) -> int:
    """Print how two folders of results differ; return 1 where they do."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("old", type=Path, help="a folder of results")
    parser.add_argument("new", type=Path, help="another")
    args = parser.parse_args(argv)
    for folder in (args.old, args.new):
        if not folder.is_dir():
            sys.exit(f"{folder}: no such folder")
    old, new = (dict(numbers(folder)) for folder in (args.old, args.new))
    found = list(differences(old, new))
    print("\n".join(found[:SHOWN]))
    if len(found) > SHOWN:
        print(f"... and {len(found) - SHOWN} more")
    print(f"{len(old | new):,} numbers and names compared, {len(found):,} differences")
    return int(bool(found))


def differences(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """Yield a line for every path at which the two differ, or which one of them lacks."""
    for path in sorted(old.keys() | new.keys()):
        if path not in new:
            yield f"{path}: {old[path]!r} is missing"
        elif path not in old:
            yield f"{path}: {new[path]!r} is new"
        elif old[path] != new[path]:
            yield f"{path}: {old[path]!r} became {new[path]!r}"


def numbers(folder: Path) -> Iterator[tuple[str, Any]]:
    """Yield every number and name of a folder's JSON and CSV files, as (path, value)."""
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if name.startswith("timings/"):
            continue
        if file.suffix == ".json":
            found = _leaves(json.loads(file.read_text(encoding="utf-8")))
        elif file.suffix == ".csv":
            found = _cells(pd.read_csv(file, dtype={"id": str}))
        else:
            continue
        for place, value in found:
            path = _moved(f"{name}:{place}")
            if not IGNORED.search(re.sub(r"\[\d+\]$", "", path)):
                yield path, VALUES.get(value, value) if isinstance(value, str) else value


def _leaves(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield the leaves of a JSON tree; null is the same as nothing."""
    if isinstance(tree, dict | list):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _leaves(value, (*path, RENAMED.get(key, str(key))))
    elif tree is not None:
        yield "/".join(path), tree


def _cells(table: pd.DataFrame) -> Iterator[tuple[str, Any]]:
    """Yield the cells of a table by column and row; an empty one is the same as nothing."""
    for column in table:
        name = RENAMED.get(str(column), str(column))
        for row, value in enumerate(table[column].tolist()):
            if not pd.isna(value):
                yield f"{name}[{row}]", value


def _moved(path: str) -> str:
    for pattern, replacement in MOVED:
        path = re.sub(pattern, replacement, path)
    return path


if __name__ == "__main__":
    sys.exit(main())
