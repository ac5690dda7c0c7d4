"""From a comparison to what people look at: Markdown, figures, and a summary for the terminal."""

from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from PIL import Image

from pipeline.data import ImageSet
from pipeline.records import atomic, digest, write_json, write_text

# Okabe and Ito's colours: told apart by colour-blind readers too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
STYLE = {"figure.dpi": 110, "font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "h"}


def quantity(value: float) -> str:
    """Return a number with an SI prefix and three significant digits: 1.23 T."""
    value = float(f"{value:.3g}")  # first, so that 999,999 is 1 M
    for power, prefix in ((15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if value >= 10**power:
            return f"{value / 10**power:.3g} {prefix}"
    return f"{value:.3g} "


def percent(value: float) -> str:
    """Return a share as a percentage with one decimal."""
    return f"{100 * value:.1f} %"


def markdown(comparison: dict[str, Any], figures: list[str]) -> str:
    """Render report.md; figures are paths relative to it."""
    return _template("report.md.j2").render(**comparison, figures=figures)


def _template(name: str) -> Template:
    folder = Path(__file__).parent / "templates"
    environment = Environment(loader=FileSystemLoader(folder), undefined=StrictUndefined, trim_blocks=True,
                              lstrip_blocks=True, autoescape=False)  # fmt: skip
    environment.filters.update(quantity=quantity, percent=percent)
    return environment.get_template(name)


def summary(comparison: dict[str, Any]) -> str:
    """Return at most 15 lines: a table of the strategies and the verdict."""
    rows = [("", "test accuracy", "95 % interval", "AUC", "log loss", "search", "train FLOPs")]
    order = sorted(comparison["strategies"].items(), key=lambda item: -item[1]["test"]["accuracy"]["mean"])
    for name, s in order[:8]:
        test, price = s["test"], s["cost"]
        low, high = test["accuracy"]["ci95"]
        rows.append(
            (
                name,
                percent(test["accuracy"]["mean"]),
                f"{100 * low:.1f} to {100 * high:.1f}",
                f"{test['roc_auc']['mean']:.3f}",
                f"{test['log_loss']['mean']:.3f}",
                quantity(price["search_flops"]),
                quantity(price["train_flops"]),
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return "\n".join([*lines, "", comparison["verdict"]])


def draw(comparison: dict[str, Any], trials: dict[str, pd.DataFrame], folder: Path) -> list[Path]:
    """Draw all figures into a folder; return their paths. `trials` are the tables that tune exports."""
    matplotlib.use("Agg")
    with plt.rc_context(STYLE):
        return [
            _save(_accuracy_against_cost(comparison), folder / "accuracy_cost.png"),
            _save(_confusions(comparison), folder / "confusion.png"),
            _save(_searches(trials), folder / "search.png"),
        ]


def _save(figure: Any, path: Path) -> Path:
    with atomic(path) as temporary:
        figure.savefig(temporary, format="png", bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)
    return path


def _accuracy_against_cost(comparison: dict[str, Any]) -> Any:
    figure, axes = plt.subplots(figsize=(6.4, 3.8))
    for (name, s), colour in zip(sorted(comparison["strategies"].items()), cycle(COLOURS)):
        accuracy, cost = s["test"]["accuracy"], s["cost"]["train_flops"]
        mean, (low, high) = 100 * accuracy["mean"], (100 * q for q in accuracy["ci95"])
        axes.errorbar(cost, mean, [[max(0, mean - low)], [max(0, high - mean)]], fmt="o", color=colour, capsize=4, ms=8)
        axes.scatter([cost] * len(accuracy["per_seed"]), [100 * v for v in accuracy["per_seed"]], s=14, color=colour,
                     alpha=0.45, marker="_")  # fmt: skip
        axes.annotate(name, (cost, mean), xytext=(9, 5), textcoords="offset points", color=colour, weight="bold")
    axes.set(xscale="log", xlabel="FLOPs of one training, feature passes included", ylabel="test accuracy, %")
    axes.set_title("Accuracy against cost (bars: 95 % interval; dashes: seeds)", fontsize=10, loc="left")
    axes.margins(x=0.22)
    axes.grid(alpha=0.25)
    return figure


def _confusions(comparison: dict[str, Any]) -> Any:
    names, classes = sorted(comparison["strategies"]), comparison["dataset"]["classes"]
    figure, row = plt.subplots(1, len(names), figsize=(3.1 * len(names) + 0.6, 3.3), squeeze=False)
    for axes, name in zip(row[0], names):
        counts = np.array(comparison["strategies"][name]["confusion"], dtype=float)
        shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_title(name)
        axes.set_xlabel("predicted")
        if len(classes) <= 12:
            axes.set_xticks(range(len(classes)), classes, rotation=30, ha="right")
            axes.set_yticks(range(len(classes)), classes if axes is row[0][0] else [""] * len(classes))
            for (i, j), share in np.ndenumerate(shares):
                axes.text(j, i, f"{100 * share:.0f} %", ha="center", va="center", color="w" if share > 0.5 else "k")
    row[0][0].set_ylabel("true")
    figure.tight_layout()
    return figure


def _searches(trials: dict[str, pd.DataFrame]) -> Any:
    figure, axes = plt.subplots(figsize=(6.4, 3.6))
    for (name, table), colour in zip(sorted(trials.items()), cycle(COLOURS)):
        done = table["state"] == "COMPLETE"
        axes.plot(table["flops"].cumsum(), table["value"].where(done).cummin().ffill(), color=colour, label=name,
                  drawstyle="steps-post")  # fmt: skip
        axes.scatter(table["flops"].cumsum(), table["value"], s=18, color=colour, alpha=np.where(done, 0.9, 0.25))
    axes.set(xscale="log", xlabel="FLOPs spent on trials", ylabel="validation log loss")
    axes.set_title("Search: best so far (pale: pruned trials)", fontsize=10, loc="left")
    top = np.nanmax([t["value"][t["state"] == "COMPLETE"].max() for t in trials.values()])
    axes.set_ylim(top=1.6 * top)
    axes.legend(frameon=False)
    axes.grid(alpha=0.25)
    return figure


def contact_sheet(images: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], path: Path) -> Path:
    """Save a picture of a few images of each class: images uint8 (N, H, W, C), labels int (N,)."""
    columns, shown = 10, classes[:12]
    matplotlib.use("Agg")
    figure, grid = plt.subplots(len(shown), columns, figsize=(columns, 1.05 * len(shown) + 0.2), squeeze=False)
    for row, name in enumerate(shown):
        chosen = np.flatnonzero(labels == classes.index(name))[:columns]
        for column, axes in enumerate(grid[row]):
            axes.set_axis_off()
            if column < len(chosen):
                axes.imshow(Image.fromarray(images[chosen[column]].squeeze()), cmap="gray", vmin=0, vmax=255)
        grid[row][0].set_title(name, fontsize=9, loc="left")
    return _save(figure, path)


def size_histogram(table: pd.DataFrame, path: Path) -> Path:
    """Save a picture of the original image sizes: columns width and height, pixels."""
    matplotlib.use("Agg")
    figure, axes = plt.subplots(figsize=(6.4, 2.6))
    axes.hist([table["width"], table["height"]], bins=30, label=["width", "height"], color=COLOURS[:2])
    axes.set(xlabel="pixels", ylabel="images")
    axes.legend(frameon=False)
    return _save(figure, path)


def data_report(table: pd.DataFrame, dev: ImageSet, name: str, digests: dict[str, str], folder: Path) -> None:
    """Write summary.json, report.md and pictures of a prepared data set into a folder.

    `table` is the manifest with its splits; the pictures show images of train and valid alone.
    """
    counts = pd.crosstab(table["split"], table["label"]).reindex(["train", "valid", "test"])
    duplicates = int(table["id"].duplicated().sum())
    summary = {
        "name": name,
        "digest": digest(digests),
        "classes": list(dev.classes),
        "counts": {split: {c: int(n) for c, n in row.items()} for split, row in counts.iterrows()},
        "images": len(table),
        "duplicates": duplicates,
        "channels": dev.channels,
    }
    write_json(folder / "summary.json", summary)
    contact_sheet(dev.images, dev.labels, dev.classes, folder / "contact_sheet.png")
    size_histogram(table, folder / "sizes.png")
    write_text(folder / "report.md", _template("data.md.j2").render(**summary))
