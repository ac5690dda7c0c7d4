"""Kill tune and train many times, finish them, and compare what they leave with an undisturbed run.

`python -m benchmarks.kills --kills 200 --seed 0 --workers 1` writes benchmarks/results/kills.json and kills.md.
"""

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

from tqdm import tqdm

from benchmarks.machine import machine, sentence
from pipeline.common.files import read_json, write_json, write_text
from tests.support.killing import Job, Kill, Span, measure, storm
from tests.support.sites import Params, Site

OUT = Path(__file__).parent / "results"
A_ROUND = 20  # kills in one folder; then a new one
JOBS: list[Job] = [("tune", "finetune"), ("train", "finetune")]


def compare(one: Site, other: Site) -> dict[str, bool]:
    """Return what a disturbed site shares with an undisturbed one."""
    results = {name: data for name, data in one.results().items() if "results/data" not in name}
    states = [state for trials in other.trials().values() for state in trials]
    runs = other.runs()
    return {
        "results are the same to the byte": other.results() == results,
        "models are the same to the byte": other.models() == one.models(),
        "no trial is running or missing": list(other.trials().values()) == list(one.trials().values())
        and all(state.is_finished() for state in states),
        "MLflow holds the same runs, all finished, none twice": runs == one.runs(),
    }


def rounds(kills: int) -> list[int]:
    """Return how many kills each folder gets."""
    return [min(A_ROUND, kills - done) for done in range(0, kills, A_ROUND)]


def run(kills: int, seed: int, workers: int, root: Path) -> dict[str, Any]:
    """Return every kill, and what each folder held in the end."""

    def with_workers(params: Params) -> Params:
        if workers > 1:
            params["search"]["workers"] = workers
        return params

    undisturbed = Site.make(root / "undisturbed", with_workers)
    spans: dict[Job, Span] = measure(undisturbed, JOBS)
    found: list[Kill] = []
    checks: list[dict[str, bool]] = []
    with tqdm(total=kills, unit="kill", desc="kills") as bar:
        for number, share in enumerate(rounds(kills)):
            site = undisturbed.copy(root / f"round-{number}")
            for kill in storm(site, spans, share, Random(f"{seed}-{number}")):
                found.append(kill)
                bar.update()
                bar.set_postfix_str(kill.place)
            checks.append(compare(undisturbed, site))
    times = os.times()
    return {
        "kills": [asdict(kill) for kill in found],
        "rounds": checks,
        "seed": seed,
        "workers": workers,
        "cpu_seconds": round(times.children_user + times.children_system, 1),
        "machine": machine("torch", "optuna", "mlflow"),
    }  # fmt: skip


def show(result: dict[str, Any]) -> str:
    """Return the result as Markdown."""
    kills, checks = result["kills"], result["rounds"]
    lines = [
        "# Kills", "",
        f"{len(kills)} times SIGKILL in {len(checks)} folders, {result['workers']} worker(s), seed {result['seed']}, "
        f"{result['cpu_seconds']:.0f} CPU-seconds. {sentence(result['machine'])}", "",
        "| check | folders |", "|---|---:|",
        *(f"| {name} | {sum(check[name] for check in checks)} of {len(checks)} |" for name in checks[0]), "",
        "| the kill landed in | kills |", "|---|---:|",
    ]  # fmt: skip
    counts = Counter(f"{kill['stage']}, {kill['victim']}: {kill['place']}" for kill in kills)
    lines += [f"| {place} | {count} |" for place, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 1 where a folder differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="search.workers (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for kills.json and kills.md")
    args = parser.parse_args(argv)
    if args.kills < 1:
        parser.error("--kills: at least 1")
    with tempfile.TemporaryDirectory() as root:
        result = run(args.kills, args.seed, args.workers, Path(root))
    write_json(args.out / "kills.json", result)
    shown = show(read_json(args.out / "kills.json"))
    write_text(args.out / "kills.md", shown)
    print(shown)
    return 0 if all(all(check.values()) for check in result["rounds"]) else 1


if __name__ == "__main__":
    sys.exit(main())
