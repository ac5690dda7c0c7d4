"""Write the results kept in docs/results into README.md; with `--check`, only say whether they are there.

With `--results results`, first take a run's comparison, time, disk, figure and, by Chromium, a picture of its verdict.
"""

import argparse
import base64
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.statistics.schema import Comparison, StrategyResult

ROOT = Path(__file__).resolve().parent.parent
COMPARISON, RUN = ROOT / "docs" / "results" / "comparison.json", ROOT / "docs" / "results" / "run.json"
README = ROOT / "README.md"
START, END = "<!-- {} -->", "<!-- /{} -->"
PLACES = (".venv", ".headstart", "data", "mlartifacts", "models")  # what a run puts on the disk


def block(comparison: "Comparison") -> str:
    """Return the table of the strategies, what it was measured on, and the verdict, as Markdown."""
    from pipeline.report.tables import said
    from pipeline.verdict.advice import conclude
    from pipeline.verdict.formatting import level

    dataset = comparison.dataset
    columns = ("test accuracy", f"{level(comparison.confidence)} interval", "AUC", "log loss", "FLOPs to search",
               "FLOPs of one training", "parameters")  # fmt: skip
    order = sorted(comparison.strategies.items(), key=lambda item: -item[1].test["accuracy"].mean)
    rows = [_row(name, strategy) for name, strategy in order]
    tested = sum(dataset.counts["test"].values())
    also = f"; compared on these and on {comparison.unseen:,} validation images that no search looked at"
    measured = (
        f"{dataset.name}: {dataset.images} images, {tested} of them for test{also if comparison.unseen else ''}; "
        f"means over {comparison.seeds} seeds; intervals for new seeds and new images."
    )
    head = [f"| strategy | {' | '.join(columns)} |", "|---|" + "---:|" * len(columns)]
    verdict = " ".join(said(conclude(comparison).answers))
    return "\n".join([*head, *rows, "", measured, "", f"**Verdict:** {verdict}"])


def _row(name: str, result: "StrategyResult") -> str:
    from pipeline.verdict.formatting import percent, quantity

    test, cost = result.test, result.cost
    low, high = test["accuracy"].ci
    cells = [
        f"`{name}`",
        percent(test["accuracy"].mean),
        f"{percent(low)} to {percent(high)}",
        f"{test['roc_auc'].mean:.3f}",
        f"{test['log_loss'].mean:.3f}",
        *(quantity(value).strip() for value in (cost.search_flops, cost.train_flops, cost.parameters)),
    ]
    return f"| {' | '.join(cells)} |"


def fill(readme: str, name: str, text: str) -> str:
    """Return the README with what stands between two markers replaced; raise ValueError where a marker is missing."""
    start, end = START.format(name), END.format(name)
    before, found, rest = readme.partition(start)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"README.md: expected the markers {start} and {end}, in this order")
    return f"{before}{start}\n{text}\n{end}{after}"


def time_block(run: dict[str, Any]) -> str:
    """Return what a run took, as a sentence, and another where something is noted beside it."""
    note = f" {run['note']}" if run.get("note") else ""
    return (
        f"On {run['cores']} cores ({run['processor']}) the run took {run['minutes']:.0f} minutes "
        f"({run['cpu_minutes']:.0f} CPU-minutes) once the packages were there, and {run['disk_gb']:.1f} GB of disk, "
        f"{run['packages_gb']:.1f} GB of it for packages.{note}"
    )


def measure(results: Path) -> dict[str, Any]:
    """Return what the run took that left these results: minutes, CPU-minutes, and disk in 10^9 bytes."""
    from benchmarks.machine import machine

    timings = [json.loads(file.read_text(encoding="utf-8")) for file in sorted((results / "timings").rglob("*.json"))]
    used = {name: _size(results.resolve().parent / name) / 1e9 for name in PLACES}
    return {
        **{key: machine()[key] for key in ("processor", "cores")},
        "minutes": round(sum(each["wall_seconds"] for each in timings) / 60, 1),
        "cpu_minutes": round(sum(each["cpu_seconds"] for each in timings) / 60, 1),
        "disk_gb": round(sum(used.values()), 2),
        "packages_gb": round(used[".venv"], 2),
    }


def _size(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_symlink() and file.is_file())


def take(results: Path, note: str = "") -> None:
    """Copy a run's comparison and figure of accuracy against cost, note what it took, and picture its verdict."""
    from pipeline.common.files import write_json

    shutil.copyfile(results / "comparison.json", COMPARISON)
    write_json(RUN, measure(results) | ({"note": note} if note else {}))
    shutil.copyfile(results / "figures" / "accuracy_cost.png", ROOT / "docs" / "report.png")
    (ROOT / "docs" / "verdict.png").write_bytes(picture(results / "report.html", "verdict"))


def picture(page: Path, section: str) -> bytes:
    """Return a PNG of a section of a page; raise SystemExit without Chromium."""
    from tests.support.browser import Browser, found

    program = found()
    if program is None:
        sys.exit("no Chromium or Chrome is installed: it takes the picture of the verdict")
    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(program, Path(profile))
        try:
            browser.show(1040)
            browser.open(page.resolve().as_uri())
            box = browser.run(f"(({{x, y, width, height}}) => ({{x, y, width, height}}))"
                              f"(document.getElementById({section!r}).getBoundingClientRect())")  # fmt: skip
            shot = browser.call("Page.captureScreenshot", clip={**box, "scale": 1}, captureBeyondViewport=True)
        finally:
            browser.close()
    return base64.b64decode(shot["data"])


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 where README.md is up to date (now), 1 where `--check` finds that it is not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--results", type=Path, help="a run's folder of results to take over first")
    parser.add_argument("--note", default="", help="a sentence on that run's time, such as what else ran beside it")
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if README.md is out of date")
    args = parser.parse_args(argv)
    sys.path.insert(0, str(ROOT))  # so that it runs as a script too, not only as a module
    from pipeline.common.files import read_json
    from pipeline.statistics.schema import Comparison

    if args.results:
        take(args.results, args.note)
    old = README.read_text(encoding="utf-8")
    new = fill(old, "results", block(Comparison.load(COMPARISON)))
    if RUN.exists():
        new = fill(new, "time", time_block(read_json(RUN)))
    if new != old and args.check:
        print("README.md is out of date; run: uv run python docs/fill_readme.py", file=sys.stderr)
        return 1
    README.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
