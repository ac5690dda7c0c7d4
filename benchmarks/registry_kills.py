"""Kill registration, promotion and rollback many times; after each kill the registry is whole, and a rerun finishes.

`python -m benchmarks.registry_kills --kills 100 --seed 0` writes benchmarks/results/registry_kills.json and .md.
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
from tests.support.registry_kills import Kill, Undisturbed, kill_once, scenes

OUT = Path(__file__).parent / "results"
# Shares of the kills; those that ask a clean process take a hundred times as long.
SHARES = {"the first registration": 0.15, "registration of another": 0.15, "promote": 0.1, "promote --force": 0.3,
          "rollback --from": 0.3}  # fmt: skip


def run(kills: int, seed: int, root: Path) -> dict[str, Any]:
    """Return every kill, and what it left."""
    found: list[Kill] = []
    with tqdm(total=kills, unit="kill", desc="kills") as bar:
        for number, scene in enumerate(scenes(root / "site")):
            folder, random = root / f"scene-{number}", Random(f"{seed}-{scene.name}")
            expected = Undisturbed.of(scene, folder)
            left = round(kills * SHARES[scene.name])
            while left:
                kill = kill_once(scene, expected, folder, random)
                if kill:
                    found.append(kill)
                    left -= 1
                    bar.update()
                    bar.set_postfix_str(f"{kill.scene}: {kill.state}, then {kill.rerun}")
    times = os.times()
    return {
        "kills": [asdict(kill) for kill in found],
        "seed": seed,
        "cpu_seconds": round(times.children_user + times.children_system, 1),
        "machine": machine("mlflow"),
    }


def is_whole(kill: dict[str, Any]) -> bool:
    """Say whether a kill left the registry before or after, and a rerun after."""
    return kill["state"] in ("before", "after") and kill["rerun"] == "after"


def show(result: dict[str, Any]) -> str:
    """Return the result as Markdown."""
    kills = result["kills"]
    lines = [
        "# Kills of what changes the champion", "",
        f"{len(kills)} times SIGKILL, mostly around the writes to the database, seed {result['seed']}, "
        f"{result['cpu_seconds']:.0f} CPU-seconds. {sentence(result['machine'])}", "",
        f"{sum(map(is_whole, kills))} of {len(kills)} left the registry as before or as after, and a rerun finished.",
        "",
        "| killed | kills | left as before | left as after | a rerun finished |", "|---|---:|---:|---:|---:|",
    ]  # fmt: skip
    for scene in SHARES:
        own = [kill for kill in kills if kill["scene"] == scene]
        states = Counter(kill["state"] for kill in own)
        reruns = sum(kill["rerun"] == "after" for kill in own)
        lines.append(f"| {scene} | {len(own)} | {states['before']} | {states['after']} | {reruns} |")
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 1 where a kill left something in between."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT, help="folder for registry_kills.json and .md")
    args = parser.parse_args(argv)
    if args.kills < 20:
        parser.error("--kills: at least 20")
    with tempfile.TemporaryDirectory() as root:
        result = run(args.kills, args.seed, Path(root))
    write_json(args.out / "registry_kills.json", result)
    shown = show(read_json(args.out / "registry_kills.json"))
    write_text(args.out / "registry_kills.md", shown)
    print(shown)
    return 0 if all(map(is_whole, result["kills"])) else 1


if __name__ == "__main__":
    sys.exit(main())
