"""A report on a prepared data set: report.md and two pictures, which show train and valid alone."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from pipeline.common.files import write_text
from pipeline.data.image_set import MANIFEST, load
from pipeline.data.summary import DatasetSummary, notes_on
from pipeline.report.figures.drawing import SERIES, save
from pipeline.report.templating import template_environment


def write_data_report(summary: DatasetSummary, dev: Path, folder: Path) -> None:
    """Write report.md and pictures into a folder; the pictures are of `dev`, the packed images of train and valid.

    Raise UserError where those are missing or damaged.
    """
    images = load(dev)
    contact_sheet(images.images, images.labels, images.classes, folder / "contact_sheet.png")
    size_histogram(pd.read_csv(dev / MANIFEST, usecols=["width", "height"]), folder / "sizes.png")
    template = template_environment().get_template("data_report.md.j2")
    write_text(folder / "report.md", template.render(d=summary, notes=notes_on(summary)))


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
        return save(figure, path)


def _shortened(name: str) -> str:
    """Return a name on one line, of at most 80 characters."""
    line = " ".join(name.split())
    return line if len(line) <= 80 else f"{line[:79]}…"


def size_histogram(table: pd.DataFrame, path: Path) -> Path:
    """Save a picture of the original image sizes: columns width and height, pixels."""
    figure = Figure((6.4, 2.6), dpi=110, layout="constrained")
    axes = figure.subplots()
    colours = [light for light, _ in SERIES[:2]]
    axes.hist([table["width"], table["height"]], bins=30, label=["width", "height"], color=colours)
    axes.set(xlabel="pixels", ylabel="images")
    axes.legend(frameon=False)
    return save(figure, path)
