"""Write the report, its figures, and the metrics and plots that DVC shows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.common.files import write_csv, write_json, write_text
from pipeline.data.image_set import ImageSet
from pipeline.report import markdown, page, plots
from pipeline.report.figures import drawing
from pipeline.statistics.schema import Comparison
from pipeline.statistics.stored_results import Measured
from pipeline.verdict.claims import claims
from pipeline.verdict.schema import Verdict

SHOWN = ("accuracy_cost", "learning_curves", "pairs", "ranking", "search")  # figures of the short form


@dataclass(frozen=True)
class Places:
    """Where each file is written."""

    page: Path  # report.html
    report: Path  # report.md
    figures: Path  # a folder
    metrics: Path
    plots: Path  # a folder


def publish(
    comparison: Comparison,
    verdict: Verdict,
    measured: Measured,
    test: ImageSet,
    about: dict[str, Any],
    to: Places,
) -> list[Path]:
    """Write the report, its short form with figures, DVC's metrics and plots; return the files to keep in MLflow."""
    write_json(to.metrics, plots.metrics(comparison))
    for name, table in plots.tables(comparison, measured.trials).items():
        write_csv(to.plots / f"{name}.csv", table)
    pictures = page.pictures(comparison, measured.trials)
    figures = drawing.draw([pictures[name] for name in SHOWN if name in pictures], to.figures)
    beside = {str(file.resolve().relative_to(to.report.resolve().parent)): words for file, words in figures.items()}
    write_text(to.report, markdown.markdown(comparison, verdict, beside, to.page.name))
    timed = tuple(claims(comparison, measured.timings))  # only the page shows times
    with_times = verdict.model_copy(update={"claims": timed})
    seen = measured.tested
    write_text(to.page, page.render(comparison, with_times, measured.timings, measured.trials, seen, test, about))
    return [to.page, to.report, *figures]
