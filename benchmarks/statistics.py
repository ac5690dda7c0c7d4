"""Measure whether the statistics hold: false winners, power, coverage, and the interval of a crossover.

`uv run python -m benchmarks.statistics` needs the demo's prepared images, its predictions (`uv run dvc repro`) and some
minutes of one core. It writes benchmarks/results/statistics.json and statistics.md; with --only, just that part is
measured again.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import machine, sentence
from pipeline.common.progress import one_thread_pool, quiet

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("numpy", "scipy", "torch")
GOALS = {
    "aa_false_winner_rate": (0.0, 0.05, "three equal strategies, 1,000 times: any winner (worst of the worlds below)"),
    "aa_false_winner_rate_real": (0.0, 0.05, "two sets of 5 seeds of one real recipe, 50 times: a winner"),
    "power_2pp": (
        0.8,
        1.0,
        "2 points between two of three strategies, 650 test images and 1,575 others: told",
    ),
    "coverage_95": (0.93, 0.97, "the 95 % intervals hold the truth: mean over the grid"),
    "crossover_coverage": (0.9, 1.0, "the interval of a crossover holds it"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the parts asked for; return 0 where every goal measured so far is met, 1 otherwise."""
    one_thread_pool(1)
    from benchmarks import coverage, crossover, power, same
    from benchmarks.demo import Demo, clock
    from pipeline.common.files import read_json, write_json, write_text
    from pipeline.config import params

    names = ("aa", "aa_real", "power", "coverage", "crossover")
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=names, nargs="+", default=list(names), help="parts (default: all)")
    parser.add_argument("--count", type=int, default=1000, help="simulations of each kind (default: %(default)s)")
    parser.add_argument("--predictions", type=Path, default=Path("results/train"), help="default: %(default)s")
    parser.add_argument("--prepared", type=Path, default=Path("data/prepared"), help="default: %(default)s")
    parser.add_argument("--work", type=Path, default=Path(".headstart/benchmarks"), help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results (default: %(default)s)")
    args = parser.parse_args(argv)
    quiet()
    demo = Demo(params.load(Path("params.yaml")), args.prepared, args.prepared / "dev", args.work)
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "aa": lambda: power.aa(power.from_predictions(args.predictions), args.count, 0),
        "aa_real": lambda: same.measure(demo, args.prepared / "test"),
        "power": lambda: power.power(power.from_predictions(args.predictions), args.count, 1),
        "coverage": lambda: coverage.run(4 * args.count, 2),
        "crossover": lambda: crossover.run(args.count * 3 // 20, 11),
    }
    file = args.out / "statistics.json"
    found: dict[str, Any] = read_json(file) if file.exists() else {"details": {}}
    for name in args.only:
        with clock() as used:
            result = parts[name]()
        found |= {key: result.pop(key) for key in GOALS if key in result}
        found["details"][name] = {**result, "cpu_seconds": used.seconds}
        found["machine"] = machine(*PACKAGES)
        write_json(file, found)
        write_text(args.out / "statistics.md", table(read_json(file)))
    print(table(read_json(file)))
    return int(any(not low <= found.get(key, low) <= high for key, (low, high, _) in GOALS.items()))


def table(found: dict[str, Any]) -> str:
    """Return statistics.md."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    here = FileSystemLoader(Path(__file__).parent)
    template = Environment(loader=here, undefined=StrictUndefined, trim_blocks=True).get_template("statistics.md.j2")
    goals = [(text, found[key], low, high) for key, (low, high, text) in GOALS.items() if key in found]
    described = sentence(found["machine"])
    return template.render(goals=goals, found=found, details=found["details"], machine=described) + "\n"


if __name__ == "__main__":
    sys.exit(main())
