"""benchmarks/zoo/README.md, made from the table of tasks and from what was measured."""

from typing import Any

from benchmarks.zoo.sources import CLIENTS
from benchmarks.zoo.tasks import DISTANCES, HALVES, TASKS, Task, halves

BASICS = ("majority", "linear on pixels")  # what `baseline` measures; any other column comes after these
HEAD = """# A zoo of image tasks

Made by `uv run python -m benchmarks.zoo table`. {count} labelled sets of images, near to, in the middle and far from
ImageNet, {least:,} to {most:,} images each, {fewest} to {widest} classes. One command builds one or all of them and
checks what it built:

```sh
uv sync --group zoo
uv run python -m benchmarks.zoo build            # all, or the names of some; --out for another folder
uv run python -m benchmarks.zoo list
```

A built folder holds PNG files, a `labels.csv` (path, label and, where images have kin, group) and `LICENCE.txt`: set
`data.path` to it. All images of a task are of one size, and their names tell nothing. A group, such as a font or a set
of chess pieces, is never parted between training and test. Packages come by their ordinary clients (`uv`, `npm`,
`apt-get` of Debian 12), pinned and checked; they are not installed. What code draws is the same to the bit for the
releases of `uv.lock` on Linux x86-64.

## Two halves

Defaults are chosen on one half, results are reported on the other; nothing was trained on either when they were parted.
The rule (`halves` of `tasks.py`): within each distance, families of tasks that share images go one by one, those with
most tasks first and then by name, to the half with fewer tasks so far, or to `choose` where both have as many.
"""
NOTES = """
Majority: the share of the largest class. Linear on pixels: logistic regression on 32x32 grey pixels, five folds by
class, groups never parted (`uv run python -m benchmarks.zoo baseline`).

## What they are made from

| task | what is to be told | groups | made from | licence of the images |
|---|---|---|---|---|"""


def table(results: dict[str, Any]) -> str:
    """Return README.md; `results` has `groups` and a number of [0, 1] in any column for every task."""
    measured = {column for each in results.values() for column in each} - {"groups", *BASICS}
    columns = [*BASICS, *sorted(measured)]
    half = halves(TASKS)
    counts, classes = [task.images for task in TASKS], [task.classes for task in TASKS]
    head = HEAD.format(count=len(TASKS), least=min(counts), most=max(counts), fewest=min(classes), widest=max(classes))
    lines = [head, "| task | distance | half | images | classes | pixels | " + " | ".join(columns) + " |",
             "|---|---|---|---:|---:|---:|" + "---:|" * len(columns)]  # fmt: skip
    order = [task for side in HALVES for distance in DISTANCES for task in TASKS
             if task.distance == distance and half[task.name] == side]  # fmt: skip
    for task in order:
        shown = [_percent(results.get(task.name, {}).get(column)) for column in columns]
        cells = [task.name, task.distance, half[task.name], f"{task.images:,}", task.classes, task.side, *shown]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines.append(NOTES)
    for task in order:
        groups = results.get(task.name, {}).get("groups")
        kin = f"{task.grouped_by} ({groups:,})" if task.grouped_by and groups else task.grouped_by
        lines.append(f"| {task.name} | {task.about} | {kin} | {_made(task)} | {task.licence} |")
    return "\n".join(lines) + "\n"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def _made(task: Task) -> str:
    parts = [f"`{each.name}` {each.version} ({CLIENTS[each.registry]})" for each in task.packages]
    if task.needs:
        parts.append(f"`{task.needs}`")
    return "; ".join(parts) or "code, and what is installed"
