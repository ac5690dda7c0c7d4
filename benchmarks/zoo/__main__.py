"""Build the tasks of the zoo, list them, and measure what is right by little."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.zoo.tasks import TASKS, Task, halves
from pipeline.common.errors import UserError

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "results" / "zoo.json"


def chosen(names: Sequence[str]) -> list[Task]:
    """Return the tasks of these names, or all; raise UserError for a name that none has."""
    known = {task.name: task for task in TASKS}
    wrong = [name for name in names if name not in known]
    if wrong:
        raise UserError(f"there is no task {', '.join(wrong)}; expected some of {', '.join(known)}")
    return [known[name] for name in names] or list(TASKS)


def show(tasks: Sequence[Task]) -> None:
    """Print a line for each task."""
    half = halves(TASKS)
    for task in tasks:
        made = ", ".join(each.registry for each in task.packages) or "code"
        print(f"{task.name:10} {task.distance:7} {half[task.name]:7} {task.images:6,} images {task.classes:3} classes  "
              f"{made.split(',')[0]:7} {task.licence}")  # fmt: skip


def make(tasks: Sequence[Task], out: Path) -> None:
    """Build tasks one after another, below `out`."""
    from benchmarks.zoo.build import build

    for task in tasks:
        made = build(task, out / task.name, out / ".packages")
        print(f"{out / task.name}: {'built' if made else 'is there'}, {task.images:,} images", file=sys.stderr)


def measure(tasks: Sequence[Task], out: Path) -> None:
    """Measure built tasks and put what is found into benchmarks/results/zoo.json."""
    from benchmarks.zoo.baseline import baseline
    from pipeline.common.files import read_json, write_json

    for task in tasks:
        results = read_json(RESULTS) if RESULTS.exists() else {}
        results[task.name] = {**results.get(task.name, {}), **baseline(out / task.name)}
        write_json(RESULTS, results)
        print(task.name, results[task.name], file=sys.stderr)


def write_table() -> None:
    """Write README.md."""
    from benchmarks.zoo.table import table
    from pipeline.common.files import read_json, write_text

    write_text(HERE / "README.md", table(read_json(RESULTS)))


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zoo", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("build", "make folders of images"), ("list", "show the tasks"),
                       ("baseline", "measure built tasks"), ("table", "write README.md")):  # fmt: skip
        command = commands.add_parser(name, help=text)
        if name != "table":
            command.add_argument("names", nargs="*", metavar="NAME", help="tasks (default: all)")
        if name in ("build", "baseline"):
            command.add_argument("--out", type=Path, default=HERE / "built", help="folder (default: %(default)s)")
    args = parser.parse_args(argv)
    try:
        if args.command == "table":
            write_table()
        elif args.command == "list":
            show(chosen(args.names))
        else:
            {"build": make, "baseline": measure}[args.command](chosen(args.names), args.out)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
