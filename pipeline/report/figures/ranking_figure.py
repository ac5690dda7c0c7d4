"""The figure of backbones ranked before training against what came out."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.report.figures.drawing import SURFACE, Picture, SeriesStyle, blank, key
from pipeline.statistics.backbone_ranking import OUTCOMES, SCORES
from pipeline.verdict.claim_cases import HEADS
from pipeline.verdict.formatting import axis_label, called, decimals, scale, score

Comparison = dict[str, Any]
SHOWN = ("log_me", "ridge_accuracy")


def ranking(comparison: Comparison) -> Picture | None:
    """Return test scores against what was measured of backbones untrained, or None of fewer than two backbones."""
    found, metric = comparison.get("ranking"), comparison["metric"]
    if not found:
        return None
    parts = []
    for row in found["backbones"]:
        tests = [
            f"{score(comparison['strategies'][name]['test'][metric]['mean'], metric)} {outcome}"
            for outcome, name in sorted(row["outcomes"].items(), reverse=True)
        ]
        measured = " and ".join(f"{SCORES[kind]} {decimals(row['scores'][kind])}" for kind in SHOWN)
        parts.append(f"{row['backbone']}: {measured}, {' and '.join(tests)}")
    text = f"Test {called(metric)} against how far the untrained features separate the classes. {'; '.join(parts)}. "

    def drawn(width: float) -> Figure:
        narrow = width < 6
        figure = blank(width, 5.6 if narrow else 3.2)
        row = np.ravel(figure.subplots(2, 1) if narrow else figure.subplots(1, 2, sharey=True))
        for axes, kind in zip(row, SHOWN):
            axes.set_xlabel(SCORES[kind])
            _scatter(axes, comparison, kind)
            if narrow or axes is row[0]:
                axes.set_ylabel(axis_label(metric))
        looks, points = SeriesStyle.of(list(comparison["strategies"])), _points(comparison, SHOWN[0])
        hollow = [name for name, (_, outcome, *_) in points.items() if outcome == OUTCOMES[HEADS]]
        key(figure, {name: looks[name] for name in points}, width, hollow)
        return figure

    return Picture("ranking", "Backbones: foretold and found", text + found["said"], drawn)


def _points(comparison: Comparison, kind: str) -> dict[str, tuple[str, str, float, float, list[float]]]:
    """Return by strategy: its backbone, its outcome, its place, and the ends of its interval."""
    metric = comparison["metric"]
    size, found = scale(metric), {}
    for row in comparison["ranking"]["backbones"]:
        for outcome, name in row["outcomes"].items():
            test = comparison["strategies"][name]["test"][metric]
            ends = [size * end for end in test["ci95"]]
            found[name] = (row["backbone"], outcome, row["scores"][kind], size * test["mean"], ends)
    return found


def _scatter(axes: Axes, comparison: Comparison, kind: str) -> None:
    looks = SeriesStyle.of(list(comparison["strategies"]))
    for name, (_, outcome, x, y, (low, high)) in _points(comparison, kind).items():
        look, hollow = looks[name], outcome == OUTCOMES[HEADS]
        axes.errorbar(x, y, [[max(0, y - low)], [max(0, high - y)]], fmt=look.marker, color=look.colour, capsize=3,
                      ms=8, elinewidth=1.2, mfc=SURFACE[0] if hollow else look.colour, zorder=3)  # fmt: skip
    axes.margins(x=0.22, y=0.12)
    axes.xaxis.set_major_locator(MaxNLocator(5))
