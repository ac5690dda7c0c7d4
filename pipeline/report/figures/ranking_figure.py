"""The figure of the backbones: their scores before training against their test results."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.config.recipe import HEADS, Kind
from pipeline.report.figures.drawing import SURFACE, Picture, SeriesStyle, blank, key
from pipeline.statistics.ranking_schema import BackboneRanking
from pipeline.statistics.schema import Comparison, Score
from pipeline.verdict.formatting import BACKBONE_SCORES, OUTCOMES, axis_label, called, decimals, scale, score
from pipeline.verdict.sentences.measured import ranking_sentence

SHOWN = ("log_me", "ridge_accuracy")


@dataclass(frozen=True)
class Mark:
    """A strategy in the figure: the score of its backbone, and its test result."""

    kind: Kind
    predicted: float
    test: Score


def ranking(comparison: Comparison) -> Picture | None:
    """Return test results against the scores of the backbones, or None with fewer than two backbones."""
    found, metric = comparison.ranking, comparison.metric
    if found is None:
        return None
    parts = []
    for row in found.backbones:
        tests = [
            f"{score(comparison.strategies[name].test[metric].mean, metric)} {outcome}"
            for outcome, name in sorted(((OUTCOMES[kind], name) for kind, name in row.outcomes.items()), reverse=True)
        ]
        measured = " and ".join(f"{BACKBONE_SCORES[each]} {decimals(row.scores[each])}" for each in SHOWN)
        parts.append(f"{row.backbone}: {measured}, {' and '.join(tests)}")
    text = f"Test {called(metric)} against how well the pretrained features separate the classes. {'; '.join(parts)}. "

    def drawn(width: float) -> Figure:
        narrow = width < 6
        figure = blank(width, 5.6 if narrow else 3.2)
        row = np.ravel(figure.subplots(2, 1) if narrow else figure.subplots(1, 2, sharey=True))
        for axes, each in zip(row, SHOWN):
            axes.set_xlabel(BACKBONE_SCORES[each])
            _scatter(axes, comparison, _marks(comparison, found, each))
            if narrow or axes is row[0]:
                axes.set_ylabel(axis_label(metric))
        looks, marks = SeriesStyle.of(list(comparison.strategies)), _marks(comparison, found, SHOWN[0])
        hollow = [name for name, mark in marks.items() if mark.kind == HEADS]
        key(figure, {name: looks[name] for name in marks}, width, hollow)
        return figure

    return Picture("ranking", "Backbones: predicted and measured", text + ranking_sentence(found), drawn)


def _marks(comparison: Comparison, ranking: BackboneRanking, of: str) -> dict[str, Mark]:
    """Return the mark of each strategy for one of the scores."""
    return {
        name: Mark(kind, row.scores[of], comparison.strategies[name].test[comparison.metric])
        for row in ranking.backbones
        for kind, name in row.outcomes.items()
    }


def _scatter(axes: Axes, comparison: Comparison, marks: dict[str, Mark]) -> None:
    looks, size = SeriesStyle.of(list(comparison.strategies)), scale(comparison.metric)
    for name, mark in marks.items():
        look, y, (low, high) = looks[name], size * mark.test.mean, (size * end for end in mark.test.ci)
        axes.errorbar(mark.predicted, y, [[max(0, y - low)], [max(0, high - y)]], fmt=look.marker, color=look.colour,
                      capsize=3, ms=8, elinewidth=1.2, mfc=SURFACE[0] if mark.kind == HEADS else look.colour,
                      zorder=3)  # fmt: skip
    axes.margins(x=0.22, y=0.12)
    axes.xaxis.set_major_locator(MaxNLocator(5))
