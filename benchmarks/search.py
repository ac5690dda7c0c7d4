"""Measure what the search saves: side by side in one run, as ratios of CPU-seconds and of FLOPs.

`uv run python -m benchmarks.search` needs the demo's images, prepared (`uv run dvc repro prepare`), and about an hour
of one core. It writes benchmarks/results/search.json and search.md; with --only, just that part is measured again.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import machine, sentence
from pipeline.common.progress import one_thread_pool, quiet

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("torch", "timm", "optuna", "mlflow")
GOALS = {
    "heads_1000_over_feature_pass": (2.0, "1,000 head configurations, from proposal to study, over one feature pass"),
    "partial_epoch_block3": (0.45, "an epoch of fine-tuning from stage 3 on cached activations, over one without"),
    "partial_epoch_block5": (0.25, "the same from stage 5"),
    "whole_search": (0.05, "the whole search of all strategies, over the plain way"),
    "halving_epochs": (0.2, "epochs of successive halving, over those of the whole grid"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the parts asked for; return 0 where every goal measured so far is met, 1 otherwise."""
    one_thread_pool(1)
    from benchmarks import halving, heads, partial, whole
    from benchmarks.demo import Demo
    from pipeline.common.files import read_json, write_json, write_text
    from pipeline.config import params

    parts = {"heads": heads, "partial": partial, "whole": whole, "halving": halving}
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=parts, nargs="+", default=list(parts), help="parts to measure (default: all)")
    parser.add_argument("--dev", type=Path, default=Path("data/prepared/dev"), help="default: %(default)s")
    parser.add_argument("--raw", type=Path, default=Path("data/raw/elpv"), help="image files (default: %(default)s)")
    parser.add_argument("--work", type=Path, default=Path(".headstart/benchmarks"), help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results (default: %(default)s)")
    args = parser.parse_args(argv)
    quiet()
    file = args.out / "search.json"
    found: dict[str, Any] = read_json(file) if file.exists() else {"details": {}}
    demo = Demo(params.load(Path("params.yaml")), args.raw, args.dev, args.work)
    for name in args.only:
        result = parts[name].measure(demo)
        found |= {key: result.pop(key) for key in GOALS if key in result}
        found["details"][name] = result
        found["machine"] = machine(*PACKAGES)
        write_json(file, found)
        write_text(args.out / "search.md", table(read_json(file)))
    print(table(read_json(file)))
    return int(any(found.get(key, 0) > goal for key, (goal, _) in GOALS.items()))


def table(found: dict[str, Any]) -> str:
    """Return search.md."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    here = FileSystemLoader(Path(__file__).parent)
    template = Environment(loader=here, undefined=StrictUndefined, trim_blocks=True).get_template("search.md.j2")
    met = [(text, found[key], goal) for key, (goal, text) in GOALS.items() if key in found]
    return template.render(met=met, machine=sentence(found["machine"]), **found["details"]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
