"""Say what more images and more GPUs take, and what gives way first: `nice -n 10 uv run python -m benchmarks.scale`.

It times the constants of a cost model on this machine, takes those of the coordinator and of the databases from what
`benchmarks.cluster` measured, those of reading images and of memory from `benchmarks.decoding` and `benchmarks.memory`,
and writes results/scale.json and, from that, docs/scale.md; --render does the last alone.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import machine, sentence
from pipeline.common.progress import one_thread_pool, quiet

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PAGE = ROOT / "benchmarks" / "results", ROOT / "docs" / "scale.md"
GPU, PRICE = "h100", 2.5  # an example: cluster.gpu, and cluster.price_per_hour in dollars


def constants() -> dict[str, Any]:
    """Return what was measured elsewhere, and measure the rest here."""
    from benchmarks import scale_constants
    from pipeline.common.files import read_json

    cluster, decoding, memory = (read_json(RESULTS / f"{name}.json") for name in ("cluster", "decoding", "memory"))
    return {
        **scale_constants.of_cluster(cluster["parts"]),
        **scale_constants.of_reading(decoding, memory),
        **scale_constants.of_files(),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, compute and write; or write the page alone."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--render", action="store_true", help="write docs/scale.md from results/scale.json alone")
    args = parser.parse_args(argv)
    one_thread_pool(1)
    quiet()
    from pipeline.common.files import read_json, write_json, write_text

    file = RESULTS / "scale.json"
    if not args.render:
        from benchmarks.scale_model import modelled

        measured = constants()
        write_json(file, {**modelled(measured, GPU, PRICE), "machine": machine("torch", "scikit-learn", "ray", "mlflow",
                                                                               "optuna")})  # fmt: skip
    write_text(PAGE, page(read_json(file)))
    print(f"{PAGE} is written from {file}", file=sys.stderr)


def page(found: dict[str, Any]) -> str:
    """Return docs/scale.md."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from pipeline.verdict.formatting import digits

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"digits": digits, "size": size, "quantity": short, "duration": long, "power": power}
    return environment.get_template("scale.md.j2").render(**found, described=sentence(found["machine"])) + "\n"


def short(value: float) -> str:
    """Return a number with an SI prefix, close to its letter: 1.23T."""
    from pipeline.verdict.formatting import quantity

    return quantity(value).strip()


def size(value: float) -> str:
    """Return bytes: 1.23 GB, 1.23 TB."""
    return f"{short(value)}B" if value >= 1000 else f"{value:.3g} B"


def long(seconds: float) -> str:
    """Return a time up to years: 3.5 h, 12 days, 2.1 years."""
    from pipeline.verdict.formatting import digits, duration

    days = seconds / 86400
    if days >= 730:
        return f"{digits(days / 365)} years"
    return f"{digits(days)} days" if days >= 3 else duration(seconds)


def power(value: int) -> str:
    """Return a power of ten with thousands separators."""
    return f"{value:,}"


if __name__ == "__main__":
    main()
