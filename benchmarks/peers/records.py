"""benchmarks/results/peers.json: a list of records, one for each task, arm and tool."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.common.errors import UserError
from pipeline.common.files import read_json, write_json

SCORES = ("accuracy", "auc", "log_loss", "cpu_seconds")
KEY = ("task", "arm", "tool")
Record = dict[str, Any]


def load(file: Path) -> list[Record]:
    """Return the records; none where there is no file yet. Raise UserError where the file is damaged."""
    found = read_json(file) if file.exists() else []
    if not isinstance(found, list) or not all(
        isinstance(each, dict) and {*KEY, *SCORES} <= set(each) for each in found
    ):
        raise UserError(f"{file}: expected a list of records with {', '.join((*KEY, *SCORES))}; restore it from git")
    return found


def put(file: Path, record: Record) -> None:
    """Write a record in place of the one of the same task, arm and tool."""
    others = [each for each in load(file) if key(each) != key(record)]
    check_split(record, others)
    write_json(file, sorted([*others, record], key=key))


def key(record: Record) -> tuple[str, ...]:
    """Return what a record is known by."""
    return tuple(record[name] for name in KEY)


def trained(records: Sequence[Record], task: str, tool: str, test: str) -> list[Record]:
    """Return the trainings of a tool on a task whose test split has this digest, by ascending seed."""
    found = (each["trainings"] for each in records
             if (each["task"], each["tool"], each["test_split"]) == (task, tool, test))  # fmt: skip
    return next(found, [])


def summary(task: str, arm: str, tool: str, trainings: Sequence[Record], **more: Any) -> Record:
    """Return the record of a tool's trainings: mean scores, and the mean CPU-seconds of one."""
    ordered = sorted(trainings, key=lambda each: each["seed"])
    means = {name: sum(each[name] for each in ordered) / len(ordered) for name in SCORES}
    return {"task": task, "arm": arm, "tool": tool, **means, "trainings": ordered, **more}


def check_split(record: Record, others: Sequence[Record]) -> None:
    """Raise UserError where a record is of other test images than others of its task."""
    for other in others:
        if other["task"] == record["task"] and other["test_split"] != record["test_split"]:
            raise UserError(
                f"{record['tool']}, {record['arm']}: its test images are not those of {other['tool']} on "
                f"{record['task']}; prepare both with the same seed, fractions, prepare.stratify and "
                "prepare.near_duplicate_bits, or remove the old records of that task"
            )
