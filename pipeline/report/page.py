"""results/report.html: one file that opens without a network, the verdict first."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.config.metric_names import LOWER_IS_BETTER, METRICS
from pipeline.data.image_set import ImageSet
from pipeline.report import gallery, tables
from pipeline.report.figures import curve_figures, drawing, ranking_figure, scores, search_figures
from pipeline.verdict import formatting

Tree = dict[str, Any]

_ABOUT: Tree = {"commit": "", "versions": {}, "commands": [], "paths": {}}

MOST_BYTES = 3_000_000  # of the page
PICTURES = 1_600_000  # of its gallery, at most
SHOWN = 18  # images of each part of the gallery
GLYPHS = dict(zip(drawing.MARKERS, "●■◆▲▼✚✖★"))
OUTCOMES = {"supported": ("✓", "yes"), "contradicted": ("✗", "no")}  # all else: cannot be told here


def render(
    comparison: Tree,
    verdict: Tree,
    timings: Tree,
    trials: dict[str, pd.DataFrame],
    predictions: dict[str, pd.DataFrame],
    test_images: ImageSet | None,
    about: Tree,
    importances: dict[str, dict[str, float]] | None = None,
) -> str:
    """Return the page, at most 3 MB.

    `comparison` and `verdict` are results/comparison.json and results/verdict.json; `timings`, `trials` and
    `predictions` hold by strategy what tune and train write, and may lack strategies. `about` says how to reproduce:
    `commit`, `versions` {package: version}, `commands`, and `paths` {image id: path}, all optional.
    `importances` {strategy: {setting: share}} replaces the rank correlations computed from the trials.
    """
    comparison, verdict, about = tables.completed(comparison), tables.VERDICT | verdict, _ABOUT | about
    context = {
        "c": comparison,
        "v": verdict,
        "about": about,
        "fig": {name: (p, Markup(drawing.svg(p))) for name, p in pictures(comparison, trials).items()},
        "glance": glance(comparison, verdict),
        "headline": tables.headline(comparison, verdict),
        "chips": tables.constraint_chips(verdict.get("constraints") or {}),
        "wall_clock": tables.wall_clock_rows(comparison, timings),
        "settings": settings(trials, importances or {}),
        "trials": trials,
        "look": _looks(list(comparison["strategies"])),
        "names": sorted(comparison["strategies"]),
        "metric": comparison["metric"],
        "confidence": formatting.confidence(comparison),
        "sections": sections(comparison, verdict, trials, predictions),
    }
    found = gallery.answers(predictions) if predictions else None
    bare = _written(context | {"gallery": _gallery(found, comparison, None, about)})
    budget = min(PICTURES, MOST_BYTES - len(bare.encode()) - 20_000)
    images = gallery.Thumbnails(test_images.images, test_images.ids, budget) if test_images is not None else None
    return _written(context | {"gallery": _gallery(found, comparison, images, about)})


def pictures(comparison: Tree, trials: dict[str, pd.DataFrame]) -> dict[str, drawing.Picture]:
    """Return every figure that there is the data for, by name, yet to be drawn."""
    comparison = tables.completed(comparison)
    found = [
        scores.accuracy_cost(comparison),
        curve_figures.learning_curves(comparison),
        scores.pairs(comparison),
        scores.reliability(comparison),
        ranking_figure.ranking(comparison),
    ]
    return {picture.name: picture for picture in found if picture} | search_figures.pictures(trials)


def _written(context: Tree) -> str:
    folder = Path(__file__).parent / "templates"
    environment = Environment(loader=FileSystemLoader(folder), undefined=StrictUndefined, trim_blocks=True,
                              lstrip_blocks=True, autoescape=True)  # fmt: skip
    environment.filters |= formatting.FILTERS | {"setting": _setting}
    environment.globals |= {
        "t": tables, "theme": drawing.THEME, "METRICS": METRICS, "POINTS": formatting.POINTS, "OUTCOMES": OUTCOMES,
    }  # fmt: skip
    script = environment.get_template("report.js.j2").render()
    token = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    style = Markup(environment.get_template("report.css.j2").render())
    page = environment.get_template("report.html.j2").render(
        **context, script=Markup(script), token=token, style=style)  # fmt: skip
    return re.sub(r"(?<=\d) (?=%)", "\N{NO-BREAK SPACE}", page)  # no line ends between a number and its sign


def _setting(value: Any) -> str:
    """Return a recipe's value: floats with three significant digits."""
    return "–" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)  # noqa: RUF001


def _looks(names: list[str]) -> dict[str, Tree]:
    """Return each strategy's CSS class and mark, the same as in the figures."""
    looks = drawing.SeriesStyle.of(names)
    place = {light: f"s{i}" for i, (light, _) in enumerate(drawing.SERIES)}
    return {name: {"css": place[look.colour], "glyph": GLYPHS[look.marker]} for name, look in looks.items()}


def glance(comparison: Tree, verdict: Tree) -> list[Tree]:
    """Return a row for each strategy, the best on test first: badges, and where its interval lies on one scale."""
    metric, strategies = comparison["metric"], comparison["strategies"]
    ends = [end for s in strategies.values() for end in s["test"][metric]["ci95"]]
    low, wide = min(ends), max(max(ends) - min(ends), 1e-12)
    sign = 1 if metric in LOWER_IS_BETTER else -1
    rows = []
    for name, s in sorted(strategies.items(), key=lambda item: (sign * item[1]["test"][metric]["mean"], item[0])):
        badges = ["recommended"] if name == verdict.get("recommended") else []
        badges += ["best on validation"] if name == comparison["winner"] and len(strategies) > 1 else []
        badges += ["on the Pareto front"] if name in verdict.get("front", []) and len(strategies) > 1 else []
        left, right = (100 * (end - low) / wide for end in s["test"][metric]["ci95"])
        rows.append({"name": name, "badges": badges, "left": left, "width": right - left, "s": s,
                     "mean": 100 * (s["test"][metric]["mean"] - low) / wide,
                     "excluded": (verdict.get("excluded") or {}).get(name, [])})  # fmt: skip
    return rows


def settings(trials: dict[str, pd.DataFrame], importances: dict[str, dict[str, float]]) -> Tree:
    """Return how much each setting mattered, by strategy, and whether that was given or is a rank correlation."""
    return {
        name: {"given": bool(importances.get(name)), "rows": importances.get(name) or search_figures.association(table)}
        for name, table in trials.items()
    }


def sections(comparison: Tree, verdict: Tree, trials: Tree, predictions: Tree) -> list[tuple[str, str]]:
    """Return the anchors and titles of the sections that there is something to say in."""
    strategies = comparison["strategies"].values()
    wanted = [
        ("verdict", "Verdict", True),
        ("cost-benefit", "Accuracy against cost", True),
        ("curves", "Learning curves", any(len(s.get("curve") or []) > 1 for s in strategies)),
        ("pairs", "Pair by pair", bool(comparison["pairs"])),
        ("cost", "What it costs", True),
        ("ranking", "Which backbone: foretold and found", bool(comparison.get("ranking"))),
        ("claims", "What people say, on your data", bool(verdict.get("claims"))),
        ("classes", "Classes and confusions", True),
        ("calibration", "Calibration", any(s.get("calibration") for s in strategies)),
        ("gallery", "Images to look at", bool(predictions)),
        ("tuning", "How the recipes were found", bool(trials)),
        ("data", "Data", True),
        ("recipes", "Recipes", True),
        ("reproduce", "How to reproduce", True),
        ("caveats", "What this does not say", True),
    ]
    return [(anchor, title) for anchor, title, there in wanted if there]


def _gallery(
    found: gallery.Answers | None, comparison: Tree, images: gallery.Thumbnails | None, about: Tree
) -> Tree | None:
    if found is None:
        return None
    classes, paths = comparison["dataset"]["classes"], about.get("paths") or {}
    wrong, disputed = gallery.all_wrong(found), gallery.disputed(found)
    return {
        "images": len(found.ids),
        "wrong": len(wrong),
        "disputed": len(disputed),
        "wrong_cards": [gallery.card(row, found, classes, images, paths) for row in wrong[:SHOWN]],
        "disputed_cards": [gallery.card(row, found, classes, images, paths) for row in disputed[:SHOWN]],
        "patterns": gallery.patterns(found),
    }
