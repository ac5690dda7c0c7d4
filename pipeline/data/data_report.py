"""A report on a prepared data set: report.md, pictures, and a list of what was left out."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure
from PIL import Image

from pipeline.common.files import atomic, write_csv, write_json, write_text
from pipeline.common.hashes import digest
from pipeline.data.image_set import ImageSet
from pipeline.data.preparation import Prepared
from pipeline.data.summary import EXCLUDED, LISTED, DatasetSummary, ExcludedImages, notes_on

COLOURS = ("#0072b2", "#c95700")  # Okabe and Ito's blue and orange, darkened to 3:1 with white


def write_data_report(prepared: Prepared, dev: ImageSet, name: str, folder: Path) -> DatasetSummary:
    """Write summary.json, report.md, excluded.csv and pictures into a folder; return the summary.

    The pictures show images of `dev`, that is of train and valid, alone.
    """
    table, cleaned = prepared.table, prepared.cleaned
    left = cleaned.listing()
    counts = pd.crosstab(table["split"], table["label"]).reindex(["train", "valid", "test"])
    duplicates = int(table["id"].duplicated().sum())
    summary = DatasetSummary(
        name=name,
        digest=digest(prepared.digests),
        classes=dev.classes,
        counts={str(split): {str(c): int(n) for c, n in row.items()} for split, row in counts.iterrows()},
        images=len(table),
        duplicates=duplicates,
        channels=dev.channels,
        excluded=ExcludedImages(kinds=cleaned.kinds, first=tuple(map(tuple, left[:LISTED].to_numpy().tolist()))),
        marks=cleaned.marks,
        notes=tuple(prepared.notes),
    )
    write_json(folder / "summary.json", summary)
    contact_sheet(dev.images, dev.labels, dev.classes, folder / "contact_sheet.png")
    size_histogram(table, folder / "sizes.png")
    write_csv(folder / EXCLUDED, left)
    write_text(folder / "report.md", _rendered(summary))
    return summary


def _rendered(summary: DatasetSummary) -> str:
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True, autoescape=False)  # fmt: skip
    return environment.get_template("data_report.md.j2").render(d=summary, notes=notes_on(summary))


def contact_sheet(images: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], path: Path) -> Path:
    """Save a picture of a few images of each class: images uint8 (N, H, W, C), labels int (N,)."""
    columns, shown = 10, classes[:12]
    figure = Figure((columns, 1.05 * len(shown) + 0.2), dpi=110, layout="constrained")
    grid = figure.subplots(len(shown), columns, squeeze=False)
    for row, name in enumerate(shown):
        chosen = np.flatnonzero(labels == classes.index(name))[:columns]
        for column, axes in enumerate(grid[row]):
            axes.set_axis_off()
            if column < len(chosen):
                axes.imshow(Image.fromarray(images[chosen[column]].squeeze()), cmap="gray", vmin=0, vmax=255)
        grid[row][0].set_title(" ", fontsize=9)  # keeps the name's height without its width, which would widen the grid
        grid[row][0].annotate(_shortened(name), (0, 1), (0, 4), xycoords="axes fraction", textcoords="offset points",
                              fontsize=9, parse_math=False, in_layout=False)  # fmt: skip
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # the font lacks some scripts; report.md has the names
        return _save(figure, path)


def _shortened(name: str) -> str:
    """Return a name on one line, of at most 80 characters."""
    line = " ".join(name.split())
    return line if len(line) <= 80 else f"{line[:79]}…"


def size_histogram(table: pd.DataFrame, path: Path) -> Path:
    """Save a picture of the original image sizes: columns width and height, pixels."""
    figure = Figure((6.4, 2.6), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.hist([table["width"], table["height"]], bins=30, label=["width", "height"], color=COLOURS)
    axes.set(xlabel="pixels", ylabel="images")
    axes.legend(frameon=False)
    return _save(figure, path)


def _save(figure: Figure, path: Path) -> Path:
    with atomic(path) as temporary:
        figure.savefig(temporary, format="png", facecolor="w", metadata={"Software": None})
    return path
