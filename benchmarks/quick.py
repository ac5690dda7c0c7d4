"""What a first answer costs, and whether it is that of the whole run: `python -m benchmarks.quick TASK RESULTS`.

RESULTS is the folder results/quick that `headstart quick` left, on a machine with nothing else to do if its seconds
are to count; `--whole` names a whole run's comparison.json of the same images. Figures go to results/quick.json.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from pipeline.common.files import read_json, write_json
from pipeline.statistics.schema import Comparison
from pipeline.verdict.rule import belief

OUT = Path(__file__).parent / "results" / "quick.json"


def figures(comparison: Comparison) -> dict[str, Any]:
    """Return what a comparison recommends, and each strategy's score, FLOPs and expected loss."""
    believed = belief(comparison)
    return {
        "recommended": believed.recommended,
        "split": comparison.split,
        "strategies": {
            name: {
                "score": strategy.test[comparison.metric].mean,
                "ci": strategy.test[comparison.metric].ci,
                "expected_loss": believed.losses[name],
                "train_flops": strategy.cost.train_flops,
            }
            for name, strategy in comparison.strategies.items()
        },
    }


def measured(results: Path, whole: Path | None) -> dict[str, Any]:
    """Return the figures of a first answer, and of the whole run where there is one."""
    first = Comparison.load(results / "comparison.json")
    known = read_json(results / "forecast.json")
    trainings = known["trainings"]
    found = {
        "images": first.dataset.images,
        "metric": first.metric,
        "cpu_seconds": known["cpu_seconds"],
        "wall_seconds": known["wall_seconds"],
        "fit_flops": sum(each["fit_flops"] for each in trainings.values()),
        "trainings": trainings,
        "forecast": known["strategies"],
        "first": figures(first),
    }
    if whole is None:
        return found
    then = figures(Comparison.load(whole))
    lost = then["strategies"].get(found["first"]["recommended"], {}).get("expected_loss")
    return {**found, "whole": then, "same": then["recommended"] == found["first"]["recommended"], "lost": lost}


def main(argv: Sequence[str] | None = None) -> None:
    """Add a task's figures to the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("task")
    parser.add_argument("results", type=Path)
    parser.add_argument("--whole", type=Path)
    parser.add_argument("--note", default="", help="what else ran on the machine")
    args = parser.parse_args(argv)
    tasks = read_json(OUT)["tasks"] if OUT.exists() else {}
    tasks[args.task] = {**measured(args.results, args.whole), **({"note": args.note} if args.note else {})}
    write_json(OUT, {"machine": machine("torch"), "tasks": tasks})
    print(f"{args.task}: written to {OUT}")


if __name__ == "__main__":
    main()
