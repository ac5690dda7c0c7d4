"""Measure how fast images are read and packed, beside Pillow alone on the same cores, and what memory that takes.

Pillow alone means: open, draft to twice the size, load, convert, resize, in a pool of `multiprocessing`; nothing is
hashed, checked, kept or put in order. Both read the same generated files, in turns, in processes of their own. Writes
decoding.json and decoding.md.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.machine import machine, sentence

ROOT = Path(__file__).resolve().parent.parent
SIZE, TURNS = 128, 3
GOAL = 0.90
KINDS = ("pillow", "decoded", "ours")
SETS = {  # name -> how many files, their width and height, their form
    "phone's photographs": (400, (4000, 3000), "JPEG"),
    "photographs": (1600, (1600, 1200), "JPEG"),
    "small pictures": (6000, (300, 300), "PNG"),
    "tiny pictures": (8000, (32, 32), "PNG"),
}
MANY = 20_000  # tiny pictures, for the memory


def lay_out(folder: Path, count: int, size: tuple[int, int], form: str) -> None:
    """Write images of smooth shapes and some noise; a fifth are made, the others are copies of these with a mark."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(max(1, min(count, 80))):
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
        pixels = np.asarray(coarse).astype(np.int16) + rng.integers(-8, 9, (size[1], size[0], 3))
        image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        image.save(folder / f"{number:05}.image", form, **({"quality": 85} if form == "JPEG" else {}))
    made = sorted(folder.iterdir())
    for number in range(len(made), count):
        data = made[number % len(made)].read_bytes()
        (folder / f"{number:05}.image").write_bytes(data + number.to_bytes(4, "big"))  # after its end: another content


def pillow(path: str) -> int:
    """Decode one file with Pillow alone."""
    from PIL import Image

    with Image.open(path) as image:
        image.draft("RGB", (2 * SIZE, 2 * SIZE))
        return image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC).size[0]


def decoded(path: str) -> int:
    """Decode one file as prepare does, and nothing more."""
    from pipeline.inference.decoding import MAX_PIXELS, opened, square

    with open(path, "rb") as file, opened(file.read(), MAX_PIXELS) as image:
        return square(image, SIZE, 3).shape[0]


def ours(folder: Path, paths: list[str], workers: int) -> None:
    """Read and pack as prepare does."""
    import numpy as np
    import pandas as pd

    from pipeline.data import manifest
    from pipeline.data.scan import Plan, Squares, read

    plan = Plan(folder, SIZE, 50_000_000, folder.with_name("squares"))
    with Squares(plan) as squares:
        found = read(plan, paths, lambda count: None, workers)
        table = pd.DataFrame({"path": paths, "label": "a"})
        table = manifest.with_facts(table, manifest.facts_table(found), "label", ())
        rows = np.arange(len(paths))
        manifest.pack(table, squares, rows, folder.with_name("packed"), ["a"], False, lambda count: None)


def work(kind: str, folder: Path, workers: int) -> dict[str, float]:
    """Return what reading a folder took: seconds of the clock and of processors, and the largest peak of memory."""
    from pipeline.data import manifest, scan  # noqa: F401  # what prepare imports anyway is not counted

    paths = sorted(file.name for file in folder.iterdir())
    before, clock = os.times(), time.perf_counter()
    if kind == "ours":
        ours(folder, paths, workers)
    else:
        with get_context("fork").Pool(workers) as pool:
            pool.map({"pillow": pillow, "decoded": decoded}[kind], [str(folder / path) for path in paths], chunksize=32)
            pool.close()
            pool.join()
    after, wall = os.times(), time.perf_counter() - clock
    cpu = sum(after[:4]) - sum(before[:4])
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {"wall_seconds": wall, "cpu_seconds": cpu, "peak_mib": peak / 1024}


def in_own_process(kind: str, folder: Path, workers: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.decoding", "--one", kind, str(folder), "--workers", str(workers)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout)


def compare(folder: Path, workers: int, turns: int) -> dict[str, Any]:
    """Return the least that each took in so many turns, and the ratios: speed over Pillow's."""
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    for _ in range(turns):
        for kind, each in found.items():
            each.append(in_own_process(kind, folder, workers))
    least = {kind: {key: min(one[key] for one in each) for key in each[0]} for kind, each in found.items()}
    ratios = {kind: {key: least["pillow"][f"{key}_seconds"] / least[kind][f"{key}_seconds"] for key in ("cpu", "wall")}
              for kind in ("decoded", "ours")}  # fmt: skip
    return {**least, "ratios": ratios}


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    return round(value, 3) if isinstance(value, float) else value


def table(result: dict[str, Any]) -> str:
    """Return decoding.md."""
    lines = [
        "# Reading images, beside Pillow alone\n",
        "Made by `uv run python -m benchmarks.decoding`. Pillow: open, draft to twice the size, convert and resize to "
        f"{result['size']}x{result['size']} pixels, in a plain pool. Decoding: the same by the function that `prepare` "
        "and served models use. Reading: all that `prepare` does with a file, which is to look at its kind, hash its "
        "bytes and its looks, decode it, put it down, and pack it with the others in order. All in "
        f"{result['workers']} processes, in turns; the least of {result['turns']} runs counts, the start of processes "
        "included. A ratio of 1 is Pillow's own speed.\n",
        "| images | Pillow: CPU-s | decoding: CPU-s | ratio | reading: CPU-s | ratio | ratio by the clock |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, each in result["sets"].items():
        seconds, ratios = {kind: f"{each[kind]['cpu_seconds']:.2f}" for kind in KINDS}, each["ratios"]
        cells = [seconds["pillow"], seconds["decoded"], f"**{ratios['decoded']['cpu']:.2f}**", seconds["ours"],
                 f"{ratios['ours']['cpu']:.2f}", f"{ratios['ours']['wall']:.2f}"]  # fmt: skip
        width, height = each["pixels"]
        lines.append(f"| {each['count']:,} {name}, {width}x{height} {each['form']} | " + " | ".join(cells) + " |")
    few, many = result["memory"]
    lines.append(
        f"\nReading and packing {few['count']:,} and {many['count']:,} tiny pictures takes at most "
        f"{few['peak_mib']:,.0f} and {many['peak_mib']:,.0f} MiB in any process.\n"
    )
    return "\n".join([*lines, sentence(result["machine"]) + "\n"])


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 where images are decoded at GOAL of Pillow's speed at least, 1 where they are not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="processes (default: cores)")
    parser.add_argument("--turns", type=int, default=TURNS, help="runs of each (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results", help="folder for what is measured")
    parser.add_argument("--one", nargs=2, metavar=("KIND", "FOLDER"), help="measure one folder, print JSON, write none")
    args = parser.parse_args(argv)
    if args.one:
        print(json.dumps(work(args.one[0], Path(args.one[1]), args.workers)))
        return 0
    from pipeline.common.files import read_json, write_json, write_text

    sets, memory = {}, []
    with tempfile.TemporaryDirectory() as temporary:
        # First: a process begins with the peak of the one that starts it, and drawing photographs takes memory.
        for count in (MANY // 10, MANY):
            (folder := Path(temporary) / str(count) / "images").mkdir(parents=True)
            lay_out(folder, count, (32, 32), "PNG")
            memory.append({"count": count, "peak_mib": in_own_process("ours", folder, args.workers)["peak_mib"]})
        for name, (count, pixels, form) in SETS.items():
            (folder := Path(temporary) / name / "images").mkdir(parents=True)
            lay_out(folder, count, pixels, form)
            sets[name] = {"count": count, "pixels": pixels, "form": form, **compare(folder, args.workers, args.turns)}
    result = {"size": SIZE, "workers": args.workers, "turns": args.turns, "goal": GOAL, "sets": rounded(sets),
              "memory": rounded(memory), "machine": machine("numpy", "pandas", "pillow")}  # fmt: skip
    write_json(args.out / "decoding.json", result)
    write_text(args.out / "decoding.md", table(read_json(args.out / "decoding.json")))
    worst = min(each["ratios"]["decoded"]["cpu"] for each in sets.values())
    print(f"decodes at {worst:.2f} of Pillow's speed or more (goal {GOAL})", file=sys.stderr)
    return int(worst < GOAL)


if __name__ == "__main__":
    sys.exit(main())
