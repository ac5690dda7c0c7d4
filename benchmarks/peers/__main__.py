"""Measure other tools, and put our own arms beside them, in benchmarks/results/peers.json and peers.md.

After `uv sync --group peers --group zoo`, `uv run python -m benchmarks.peers run` measures what is not measured yet,
the cheapest tools first; each training is kept as soon as it is done. `uv run python -m benchmarks.peers ours RESULTS
--task demo` reads a finished run of ours.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers.records import Record
from pipeline.common.entry_point import handle_user_errors
from pipeline.common.progress import one_thread_pool, quiet

RESULTS = Path(__file__).resolve().parent.parent / "results"
WORK = Path(".headstart/peers")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    from benchmarks.peers.tasks import NAMES
    from benchmarks.peers.tools import TOOLS

    made = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=(__doc__ or "").splitlines()[0])
    made.add_argument("--out", type=Path, default=RESULTS, help="folder of the results (default: %(default)s)")
    commands = made.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="measure other tools")
    run.add_argument("--task", choices=NAMES, nargs="+", default=[*NAMES[1:], NAMES[0]], help="default: all")
    run.add_argument("--tool", choices=TOOLS, nargs="+", default=list(TOOLS), help="default: all")
    run.add_argument("--seed", type=int, nargs="+", default=[1], help="a training for each (default: 1)")
    run.add_argument("--work", type=Path, default=WORK, help="folder for images (default: %(default)s)")
    ours = commands.add_parser("ours", help="read the results of a finished run of ours")
    ours.add_argument("results", type=Path, help="the run's folder results/")
    ours.add_argument("--task", choices=NAMES, required=True, help="the task that it was a run of")
    commands.add_parser("table", help="write peers.md anew")
    return made


@handle_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Run a command."""
    one_thread_pool(1)
    quiet()
    args = parser().parse_args(argv)
    file = args.out / "peers.json"
    if args.command == "run":
        run(args.task, args.tool, args.seed, args.work, file)
    elif args.command == "ours":
        from benchmarks.peers import ours, records

        for record in ours.records(args.results, args.task):
            records.put(file, {**record, **_machine()})
    write_table(file)


def run(tasks: Sequence[str], tools: Sequence[str], seeds: Sequence[int], work: Path, file: Path) -> None:
    """Train every tool on every task with every seed, unless that is done; keep each training when it ends."""
    from benchmarks.peers.records import load, put, summary, trained
    from benchmarks.peers.tasks import make
    from benchmarks.peers.tools import TOOLS
    from benchmarks.peers.training import in_a_process
    from pipeline.common.lock import one_process
    from pipeline.config.params import load as load_params

    params = load_params(Path("params.yaml"))
    jobs = [(tool, task, seed) for tool in tools for seed in seeds for task in tasks]
    with one_process(work / "peers.lock"):
        for number, (tool, task, seed) in enumerate(jobs, 1):
            folders, versions = make(task, work, params), TOOLS[tool].versions
            test = folders.test_digest()
            done = trained(load(file), task, tool, test)
            if any(each["seed"] == seed for each in done):
                continue
            print(f"{number} of {len(jobs)}: {task}, {tool}, seed {seed}", file=sys.stderr)
            new = in_a_process(task, folders.root, tool, params.prepare.valid_fraction, seed)
            settings = new.pop("settings")
            put(file, summary(task, TOOLS[tool].arm, tool, [*done, new], settings=settings, versions=versions,
                              test_split=test, **_machine()))  # fmt: skip
            write_table(file)


def _machine() -> Record:
    from benchmarks.machine import machine

    return {"processor": machine()["processor"]}


def write_table(file: Path) -> None:
    """Write peers.md beside peers.json."""
    from benchmarks.peers.records import load
    from benchmarks.peers.table import table
    from pipeline.common.files import write_text

    write_text(file.with_suffix(".md"), table(load(file)))


if __name__ == "__main__":
    sys.exit(main())
