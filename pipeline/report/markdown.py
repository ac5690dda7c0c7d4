"""From a comparison to Markdown and a summary for the terminal; and what a prepared data set looks like."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from matplotlib.figure import Figure
from PIL import Image

from pipeline.common.files import write_csv, write_json, write_text
from pipeline.common.hashes import digest
from pipeline.common.text_table import text_table
from pipeline.config.metric_names import METRICS
from pipeline.data.image_set import ImageSet
from pipeline.data.summary import DatasetSummary, ExcludedImages
from pipeline.report import tables
from pipeline.report.figures.drawing import SERIES, save
from pipeline.statistics.schema import Comparison
from pipeline.verdict import formatting
from pipeline.verdict.formatting import quantity
from pipeline.verdict.schema import Verdict
from pipeline.verdict.sentences.measured import ranking_sentence


def markdown(comparison: Comparison, verdict: Verdict, figures: dict[str, str], page: str) -> str:
    """Render report.md; figures are {path: what it says}, paths and the page's being relative to it."""
    return _template("report.md.j2").render(
        c=comparison,
        v=verdict,
        headline=tables.headline(comparison, verdict),
        confidence=formatting.level(comparison.confidence),
        others=[m for m in METRICS if m != comparison.metric],
        figures=figures,
        notes=tables.data_notes(comparison.dataset),
        page=page,
        crossings=tables.curve_sentences(comparison, verdict.unconstrained.recommended)[0],
        why_metric=tables.why_metric(comparison),
        ranking_says=ranking_sentence(comparison.ranking) if comparison.ranking else "",
        BACKBONE_SCORES=formatting.BACKBONE_SCORES,
        OUTCOMES=formatting.OUTCOMES,
    )


def _template(name: str) -> Template:
    folder = Path(__file__).parent / "templates"
    environment = Environment(loader=FileSystemLoader(folder), undefined=StrictUndefined, trim_blocks=True,
                              lstrip_blocks=True, autoescape=False)  # fmt: skip
    environment.filters |= formatting.FILTERS
    return environment.get_template(name)


def summary(comparison: Comparison, verdict: Verdict) -> str:
    """Return at most 15 lines: a table of the strategies, and the verdict, under constraints where there are any."""
    metric, level = comparison.metric, formatting.level(comparison.confidence)
    rows = [("", f"test {formatting.called(metric)}", f"{level} interval", "AUC", "log loss", "search", "train FLOPs")]
    for name in comparison.ranked(comparison.strategies, "test")[:8]:
        test, cost = comparison.strategies[name].test, comparison.strategies[name].cost
        rows.append(
            (
                name,
                formatting.score(test[metric].mean, metric),
                formatting.span(test[metric].ci, metric).removesuffix(" %"),
                f"{test['roc_auc'].mean:.3f}",
                f"{test['log_loss'].mean:.3f}",
                quantity(cost.search_flops),
                quantity(cost.train_flops),
            )
        )
    asked = f"\nUnder your constraints: {verdict.reason}" if verdict.constrained else ""
    return f"{text_table(rows)}\n\n{verdict.unconstrained.sentence}{asked}"


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
        grid[row][0].set_title(" ", fontsize=9)  # the name's height, without its width: that would push images apart
        grid[row][0].annotate(shortened(name), (0, 1), (0, 4), xycoords="axes fraction", textcoords="offset points",
                              fontsize=9, parse_math=False, in_layout=False)  # fmt: skip
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # the font has not all scripts; report.md has the names
        return save(figure, path)


def shortened(name: str) -> str:
    """Return a name on one line, of at most 80 characters."""
    line = " ".join(name.split())
    return line if len(line) <= 80 else f"{line[:79]}…"


def size_histogram(table: pd.DataFrame, path: Path) -> Path:
    """Save a picture of the original image sizes: columns width and height, pixels."""
    figure = Figure((6.4, 2.6), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.hist([table["width"], table["height"]], bins=30, label=["width", "height"], color=[SERIES[0][0], SERIES[1][0]])
    axes.set(xlabel="pixels", ylabel="images")
    axes.legend(frameon=False)
    return save(figure, path)


def data_report(
    table: pd.DataFrame,
    dev: ImageSet,
    name: str,
    digests: dict[str, str],
    folder: Path,
    notes: Sequence[str] = (),
    excluded: pd.DataFrame | None = None,
    kinds: Mapping[str, int] | None = None,
    marks: Mapping[str, int] | None = None,
) -> DatasetSummary:
    """Write summary.json, report.md, excluded.csv and pictures of a prepared data set into a folder; return the first.

    `table` is the manifest with its splits; the pictures show images of train and valid alone. `notes` are sentences
    on how the splits came about. `excluded` (path, reason) is what was left out, `kinds` counts its reasons, `marks`
    the images that were not taken as they are.
    """
    left = pd.DataFrame(columns=["path", "reason"]) if excluded is None else excluded
    counts = pd.crosstab(table["split"], table["label"]).reindex(["train", "valid", "test"])
    duplicates = int(table["id"].duplicated().sum())
    summary = DatasetSummary(
        name=name,
        digest=digest(digests),
        classes=dev.classes,
        counts={str(split): {str(c): int(n) for c, n in row.items()} for split, row in counts.iterrows()},
        images=len(table),
        duplicates=duplicates,
        channels=dev.channels,
        excluded=ExcludedImages(
            kinds=dict(kinds or {}), first=tuple(map(tuple, left[: tables.LISTED].to_numpy().tolist()))
        ),
        marks=dict(marks or {}),
        notes=tuple(notes),
    )
    write_json(folder / "summary.json", summary)
    contact_sheet(dev.images, dev.labels, dev.classes, folder / "contact_sheet.png")
    size_histogram(table, folder / "sizes.png")
    write_csv(folder / tables.EXCLUDED, left)
    write_text(folder / "report.md", _template("data.md.j2").render(d=summary, notes=tables.data_notes(summary)))
    return summary
