"""Measure memory and CPU time per image of what handles all images at once: manifest, splits, batches.

What files hold is simulated, and the packed images are a sparse file, so that 1,000,000 images need no disk. Each
number of images runs in a process of its own. Writes memory.json and memory.md.
"""

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import machine, sentence

ROOT = Path(__file__).resolve().parent.parent
SIZES = (10_000, 100_000, 1_000_000)
LIMIT_MIB, MOST_GROWTH = 2048, 1.3
TEST, VALID, SEED, BATCH = 0.25, 0.2, 0, 64
WARM_UP = 1000  # images that go through first, so that imports are not counted
VIEWS = ("identity", "hflip", "vflip", "rot180")


FIRST = "first epoch of batches"
ORDER = ("read labels.csv", "index", "split off test and valid", "write manifest.csv", "load", "split train and valid",
         FIRST, "another epoch of batches")  # fmt: skip
Steps = dict[str, dict[str, float]]


def cpu_seconds() -> tuple[float, float]:
    """Return what this process has used, itself and in the kernel."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime, used.ru_stime


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def write_table(count: int, file: Path) -> None:
    """Write labels.csv as a user would bring it: two classes, three kinds of cells, one copy in a thousand."""
    with file.open("w", encoding="utf-8") as out:
        out.write("path,label,cell_type\n")
        for position in range(count):
            number = position * 7919 % count  # in no order
            content = number - (number % 1000 == 999)
            label, kind = "intact" if content % 3 else "defective", ("mono", "poly", "other")[content % 7 % 3]
            out.write(f"images/cell{number:07}.png,{label},{kind}\n")


def facts(count: int) -> Iterator[Any]:
    """Yield what reading each file would have said."""
    from pipeline.data.image_facts import ImageFacts

    for number in range(count):
        content = number - (number % 1000 == 999)
        yield ImageFacts(hashlib.sha256(str(content).encode()).hexdigest()[:32], 300, 300, True, content, ())


def stages(count: int, size: int, folder: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the name and the work of each step, in order; each uses what those before it made."""
    import numpy as np

    from pipeline.common.files import write_json
    from pipeline.data import folds, image_set, manifest, readers
    from pipeline.training.feature_pass import Pixels
    from pipeline.training.samples import Samples, batches

    made: dict[str, Any] = {}

    def index() -> None:
        made["table"] = manifest.with_facts(
            made.pop("found"), manifest.facts_table(facts(count)), "label", ("cell_type",)
        )

    def split() -> None:
        manifest.check_labels(made["table"], TEST, VALID)
        made["parts"] = image_set.three_way(made["table"], TEST, VALID, SEED)

    def write() -> None:
        rows = made.pop("table")[made.pop("parts") != "test"]
        rows.to_csv(folder / image_set.MANIFEST, index=False)
        np.lib.format.open_memmap(
            folder / image_set.IMAGES, "w+", np.uint8, (len(rows), size, size, 1)
        )  # all zeros: sparse
        write_json(folder / image_set.ABOUT, {"classes": ["defective", "intact"], "digest": "", "images": len(rows)})

    def epoch() -> None:
        images = made["images"]
        samples = Samples(Pixels(images.images, VIEWS), images.labels, made["rows"][0])
        for rows, views in batches(samples, BATCH, SEED):
            samples.inputs.take(rows, views)

    yield "read labels.csv", lambda: made.update(found=readers.read(folder))
    yield "index", index
    yield "split off test and valid", split
    yield "write manifest.csv", write
    yield "load", lambda: made.update(images=image_set.load(folder))
    yield "split train and valid", lambda: made.update(rows=folds.train_valid(made["images"], VALID, SEED))
    yield FIRST, epoch
    yield "another epoch of batches", epoch


def measure(count: int, size: int) -> Steps:
    """Return for each step its CPU time in microseconds per image, and the peak of resident memory after it."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_table(count, folder / "labels.csv")
        for step, work in stages(count, size, folder):
            before = cpu_seconds()
            work()
            user, kernel = (1e6 * (now - then) / count for now, then in zip(cpu_seconds(), before))
            found[step] = {"cpu_us_per_image": user + kernel, "kernel_us_per_image": kernel, "peak_rss_mib": peak_mib()}
    return found


def in_own_process(count: int, size: int) -> Steps:
    """Run `measure` in a new process with one thread and return what it found."""
    command = [sys.executable, "-m", "benchmarks.memory", "--one", str(count), "--image-size", str(size)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout)


def total(steps: Steps) -> float:
    """Return the CPU time per image in microseconds, but for the first epoch, in which the kernel reads the file."""
    return sum(step["cpu_us_per_image"] for name, step in steps.items() if name != FIRST)


def first(steps: Steps) -> float:
    return steps[FIRST]["cpu_us_per_image"]


def summary(found: dict[int, Steps], size: int) -> dict[str, Any]:
    least, most = min(found), max(found)
    peaks = {f"peak_rss_mib_{n}": round(max(s["peak_rss_mib"] for s in steps.values())) for n, steps in found.items()}
    costs = {f"cpu_us_per_image_{n}": round(total(steps), 2) for n, steps in found.items()}
    growth = round(total(found[most]) / total(found[least]), 3)
    whole = (total(found[most]) + first(found[most])) / (total(found[least]) + first(found[least]))
    apart = {name: round(step["cpu_us_per_image"] / found[least][name]["cpu_us_per_image"], 2)
             for name, step in found[most].items()}  # fmt: skip
    steps = {str(n): {name: {key: round(value, 2) for key, value in step.items()} for name, step in steps.items()}
             for n, steps in found.items()}  # fmt: skip
    return {
        **peaks,
        **costs,
        "growth": growth,
        "growth_with_first_epoch": round(whole, 3),
        "growth_of_steps": apart,
        "image_size": size,
        "steps": steps,
        "machine": machine("numpy", "pandas", "scikit-learn", "torch"),
    }


def table(result: dict[str, Any]) -> str:
    """Return memory.md."""
    steps, counts = result["steps"], [int(n) for n in result["steps"]]
    head = ["step", *(f"{n:,}: CPU us per image" for n in counts), "growth", *(f"{n:,}: peak MiB" for n in counts)]
    rows = [
        [
            name,
            *(f"{steps[str(n)][name]['cpu_us_per_image']:.2f}" for n in counts),
            f"{result['growth_of_steps'][name]:.2f}",
            *(f"{steps[str(n)][name]['peak_rss_mib']:,.0f}" for n in counts),
        ]
        for name in ORDER
    ]
    cells = [*(f"{result[f'cpu_us_per_image_{n}']:.2f}" for n in counts), f"{result['growth']:.2f}"]
    bold = [
        f"**{cell}**"
        for cell in ("all but the first epoch", *cells, *(f"{result[f'peak_rss_mib_{n}']:,}" for n in counts))
    ]
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows, bold)]
    lines.insert(1, "|---|" + "---:|" * (len(head) - 1))
    kernel = " and ".join(f"{steps[str(n)][FIRST]['kernel_us_per_image']:.1f}" for n in (counts[0], counts[-1]))
    return "\n".join([
        "# Memory and CPU time against the number of images\n",
        "Made by `uv run python -m benchmarks.memory`. What files hold is simulated; the packed images "
        f"({result['image_size']}x{result['image_size']}, grey) are a sparse file. CPU time is user and system; the "
        "peak is that of resident memory since the process began, libraries included.\n",
        *lines,
        f"\nFrom {counts[0]:,} to {counts[-1]:,} images the CPU time per image grows by a factor of "
        f"{result['growth']}. "
            f"With the first epoch, in which the kernel also brings the file into its page cache, it is "
            f"{result['growth_with_first_epoch']}; of that epoch's time {kernel} us per image are the kernel's.\n",
        sentence(result["machine"]) + "\n",
    ])  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 where memory and growth are within their limits, 1 where they are not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of images (default: %(default)s)")
    parser.add_argument("--image-size", type=int, default=128, help="side in pixels (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results", help="folder for what is measured")
    parser.add_argument("--one", type=int, metavar="N", help="measure N images in this process, print JSON, write none")
    args = parser.parse_args(argv)
    if args.one:
        measure(WARM_UP, 8)
        print(json.dumps(measure(args.one, args.image_size)))
        return 0
    found = {}
    for position, count in enumerate(sorted(args.sizes), 1):
        print(f"{position} of {len(args.sizes)}: {count:,} images", file=sys.stderr, flush=True)
        found[count] = in_own_process(count, args.image_size)
    from pipeline.common.files import read_json, write_json, write_text

    result = summary(found, args.image_size)
    write_json(args.out / "memory.json", result)
    write_text(args.out / "memory.md", table(read_json(args.out / "memory.json")))
    peak = result[f"peak_rss_mib_{max(found)}"]
    print(f"peak {peak} MiB (limit {LIMIT_MIB}), growth {result['growth']} (limit {MOST_GROWTH})", file=sys.stderr)
    return int(peak > LIMIT_MIB or result["growth"] > MOST_GROWTH)


if __name__ == "__main__":
    sys.exit(main())
