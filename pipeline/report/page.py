"""results/report.html: one file that needs no network, with the verdict first."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from pipeline.config.metric_names import METRICS, objective
from pipeline.data.image_set import ImageSet
from pipeline.data.summary import notes_on
from pipeline.report import confusion, gallery, tables
from pipeline.report.figures import curve_figures, drawing, ranking_figure, scores, search_figures
from pipeline.report.split_words import with_split
from pipeline.report.templating import template_environment
from pipeline.statistics.schema import Comparison, StrategyResult
from pipeline.statistics.timings import Timings
from pipeline.verdict import formatting
from pipeline.verdict.schema import Verdict
from pipeline.verdict.sentences.measured import ranking_sentence

Tree = dict[str, Any]

_ABOUT: Tree = {"commit": "", "versions": {}, "commands": [], "paths": {}}

MOST_BYTES = 3_000_000  # of the page
PICTURES = 1_600_000  # of its gallery, at most
SHOWN = 18  # images of each part of the gallery
GLYPHS = dict(zip(drawing.MARKERS, "●■◆▲▼✚✖★"))
CLAIM_MARKS = {"supported": ("✓", "yes"), "leaning": ("↗", "yes"), "undecided": ("?", "unsure"),
               "leaning against": ("↘", "no"), "contradicted": ("✗", "no")}  # fmt: skip


def render(
    comparison: Comparison,
    verdict: Verdict,
    timings: Timings,
    trials: Mapping[str, pd.DataFrame],
    predictions: Mapping[str, pd.DataFrame],
    test_images: ImageSet | None,
    about: Tree,
    importances: dict[str, dict[str, float]] | None = None,
    first: Sequence[str] = (),
) -> str:
    """Return the page, at most 3 MB.

    `timings`, `trials` and `predictions` hold, by strategy, what tune and train write; strategies may be missing.
    `about` says how to reproduce the results: `commit`, `versions` {package: version}, `commands`, and `paths`
    {image id: path}, all optional. `importances` {strategy: {setting: share}} replaces the rank correlations computed
    from the trials. `first` are the sentences with which a first answer says what it is.
    """
    about = _ABOUT | about
    context = {
        "c": comparison,
        "v": verdict,
        "about": about,
        "fig": {name: (p, Markup(drawing.svg(p))) for name, p in pictures(comparison, trials).items()},
        "glance": glance(comparison, verdict),
        "headline": tables.headline(verdict),
        "data_notes": notes_on(comparison.dataset),
        "chips": tables.constraint_chips(verdict.constraints),
        "wall_clock": tables.wall_clock_rows(comparison, timings),
        "settings": settings(trials, importances or {}),
        "trials": trials,
        "look": _looks(list(comparison.strategies)),
        "names": sorted(comparison.strategies),
        "metric": comparison.metric,
        "why_metric": tables.why_metric(comparison),
        "confidence": formatting.level(comparison.confidence),
        "crossings": tables.curve_sentences(comparison, verdict.unconstrained.recommended),
        "ranking_says": ranking_sentence(comparison.ranking) if comparison.ranking else "",
        "sections": sections(comparison, verdict, trials, predictions),
        "first": first,
    }
    found = gallery.answers(predictions) if predictions else None
    bare = _written(context | {"gallery": _gallery(found, comparison, None, about)})
    budget = min(PICTURES, MOST_BYTES - len(bare.encode()) - 20_000)
    images = gallery.Thumbnails(test_images.images, test_images.ids, budget) if test_images is not None else None
    return _written(context | {"gallery": _gallery(found, comparison, images, about)})


def pictures(comparison: Comparison, trials: Mapping[str, pd.DataFrame]) -> dict[str, drawing.Picture]:
    """Return every figure that has data, by name, yet to be drawn."""
    found = [
        scores.accuracy_cost(comparison),
        curve_figures.learning_curves(comparison),
        scores.pairs(comparison),
        scores.reliability(comparison),
        ranking_figure.ranking(comparison),
    ]
    return {picture.name: picture for picture in found if picture} | search_figures.pictures(
        trials, objective(comparison.metric).replace("_", " ")
    )


def _written(context: Tree) -> str:
    environment = template_environment(escaped=True)
    environment.filters |= formatting.FILTERS | {"setting": _setting}
    environment.globals |= {
        "t": tables, "confusion": confusion, "theme": drawing.THEME, "METRICS": METRICS, "POINTS": formatting.POINTS,
        "BACKBONE_SCORES": formatting.BACKBONE_SCORES, "OUTCOMES": formatting.OUTCOMES, "CLAIM_MARKS": CLAIM_MARKS,
    }  # fmt: skip
    script = environment.get_template("report.js.j2").render()
    token = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    style = Markup(environment.get_template("report.css.j2").render())
    page = environment.get_template("report.html.j2").render(
        **context, script=Markup(script), token=token, style=style)  # fmt: skip
    page = with_split(page, context["c"].split)
    # No line break between a number and its unit.
    page = re.sub(r"(?<=\d) (?=%|[kMGTPE] FLOPs)", "\N{NO-BREAK SPACE}", page)
    return re.sub(r"(?<=\d\N{NO-BREAK SPACE}[kMGTPE]) (?=FLOPs)", "\N{NO-BREAK SPACE}", page)


def _setting(value: Any) -> str:
    """Return a recipe's value: floats with three significant digits."""
    return "–" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)  # noqa: RUF001


def _looks(names: list[str]) -> dict[str, Tree]:
    """Return each strategy's CSS class and mark, the same as in the figures."""
    looks = drawing.SeriesStyle.of(names)
    place = {light: f"s{i}" for i, (light, _) in enumerate(drawing.SERIES)}
    return {name: {"css": place[look.colour], "glyph": GLYPHS[look.marker]} for name, look in looks.items()}


@dataclass(frozen=True)
class GlanceRow:
    """A strategy at a glance; positions and widths are in percent of a scale that all share."""

    name: str
    strategy: StrategyResult
    badges: list[str]
    standing: str  # against the recommended one, with its probability
    excluded: tuple[str, ...]  # the limits that it misses
    left: float  # end of its interval
    width: float  # of its interval
    mean: float


def glance(comparison: Comparison, verdict: Verdict) -> list[GlanceRow]:
    """Return a row for each strategy, the best on test first: its badges, and its interval on a shared scale."""
    strategies, several = comparison.strategies, len(comparison.strategies) > 1
    scores = {name: s.test[comparison.metric] for name, s in strategies.items()}
    ends = [end for score in scores.values() for end in score.ci]
    low, wide = min(ends), max(max(ends) - min(ends), 1e-12)
    rows = []
    for name in comparison.ranked(strategies, "test"):
        badges = ["recommended"] if name == verdict.recommended else []
        badges += ["best on validation"] if name == comparison.winner and several else []
        badges += ["best at its cost"] if name in verdict.front and several else []
        score = scores[name]
        left, mean, right = (100 * (x - low) / wide for x in (score.ci[0], score.mean, score.ci[1]))
        excluded = verdict.excluded.get(name, ())
        rows.append(GlanceRow(name, strategies[name], badges, _standing(verdict, name), excluded, left, right - left,
                              mean))  # fmt: skip
    return rows


def _standing(verdict: Verdict, name: str) -> str:
    found = verdict.standings.get(name)
    if found is None:
        return ""
    begin = "undecided, most likely " if found.standing == "undecided" else ""
    return f"{begin}{tables.STANDINGS[found.likeliest]} ({formatting.likely(found.probability)})"


def settings(trials: Mapping[str, pd.DataFrame], importances: dict[str, dict[str, float]]) -> Tree:
    """Return how much each setting mattered, by strategy: as given, or else by rank correlation."""
    return {
        name: {"given": bool(importances.get(name)), "rows": importances.get(name) or search_figures.association(table)}
        for name, table in trials.items()
    }


def sections(
    comparison: Comparison, verdict: Verdict, trials: Mapping[str, Any], predictions: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """Return the anchors and titles of the sections that have content."""
    wanted = [
        ("verdict", "Verdict", True),
        ("cost-benefit", "Accuracy against cost", True),
        ("curves", "Learning curves", any(len(s.curve) > 1 for s in comparison.strategies.values())),
        ("pairs", "Pairwise differences", bool(comparison.pairs)),
        ("cost", "What it costs", True),
        ("ranking", "Backbones: predicted and measured", comparison.ranking is not None),
        ("claims", "What people say, on your data", bool(verdict.claims)),
        ("classes", "Classes and confusion", True),
        ("calibration", "Calibration", True),
        ("gallery", "Images to look at", bool(predictions)),
        ("tuning", "How the recipes were found", bool(trials)),
        ("data", "Data", True),
        ("recipes", "Recipes", True),
        ("reproduce", "How to reproduce", True),
        ("caveats", "Limitations", True),
    ]
    return [(anchor, title) for anchor, title, there in wanted if there]


def _gallery(
    found: gallery.Answers | None, comparison: Comparison, images: gallery.Thumbnails | None, about: Tree
) -> Tree | None:
    if found is None:
        return None
    classes, paths = comparison.dataset.classes, about["paths"]
    wrong, disputed = gallery.all_wrong(found), gallery.disputed(found)
    return {
        "images": len(found.ids),
        "wrong": len(wrong),
        "disputed": len(disputed),
        "wrong_cards": [gallery.card(row, found, classes, images, paths) for row in wrong[:SHOWN]],
        "disputed_cards": [gallery.card(row, found, classes, images, paths) for row in disputed[:SHOWN]],
        "patterns": gallery.patterns(found),
    }
