"""The figure of the learning curves: each strategy's score against the number of training images."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.report import tables
from pipeline.report.figures.drawing import (
    CROWDED,
    INK,
    MUTED,
    SURFACE,
    Picture,
    SeriesStyle,
    blank,
    few_ticks,
    key,
    spread,
)
from pipeline.statistics.schema import Comparison, Crossover, FittedCurve
from pipeline.verdict.formatting import axis_label, called, level, scale, score
from pipeline.verdict.rule import recommend
from pipeline.verdict.sentences.measured import crossover_sentence

MOST_CROSSINGS = 3  # in the figure: each has a lane of its own
EXTENDED = 3  # times all images: how far a fitted curve is drawn


def learning_curves(comparison: Comparison) -> Picture | None:
    """Return each strategy's test score against the number of training images, or None with a single size."""
    metric, strategies = comparison.metric, comparison.strategies
    if all(len(s.curve) < 2 for s in strategies.values()):
        return None
    crossings, _ = tables.crossings(comparison, str(recommend(comparison)))
    parts = [
        f"{name}: "
        + ", ".join(f"{score(point.scores[metric].mean, metric)} with {point.images:,} images" for point in s.curve)
        for name, s in sorted(strategies.items())
    ]
    text = (
        f"Test {called(metric)} against the number of training images, with {level(comparison.confidence)} bands. "
        f"{'; '.join(parts)}. {' '.join(f'{crossover_sentence(comparison, c)}.' for c in crossings)}"
    ).strip()

    def drawn(width: float) -> Figure:
        figure = blank(width, 4.4 if width < 6 else 4.2)
        keyed = width < 6 and len(strategies) > CROWDED
        _curves(figure.subplots(), comparison, crossings, width, keyed)
        if keyed:
            key(figure, SeriesStyle.of(list(strategies)), width)
        return figure

    return Picture("learning_curves", "Learning curves", text, drawn)


def _curves(axes: Axes, comparison: Comparison, crossings: list[Crossover], width: float, keyed: bool) -> None:
    metric, strategies = comparison.metric, dict(sorted(comparison.strategies.items()))
    looks, size, ends, bands = SeriesStyle.of(list(strategies)), scale(metric), [], []
    for name, s in strategies.items():
        look, images, scores = looks[name], [r.images for r in s.curve], [r.scores[metric] for r in s.curve]
        means = [size * r.mean for r in scores]
        low, high = ([size * r.ci[end] for r in scores] for end in (0, 1))
        axes.fill_between(images, low, high, color=look.colour, alpha=0.14, lw=0)
        axes.plot(images, means, color=look.colour, marker=look.marker, ls=look.dashes, zorder=3)
        if s.law is not None:
            bands.append(_law(axes, s.law, size, look, images[-1]))
        ends.append((name, images[-1], means[-1]))
    axes.set_ylim(axes.get_ylim())  # the band of a fitted curve may be much wider; the measured points set the limits
    for band in bands:
        axes.fill_between(**band, alpha=0.07, lw=0)
    axes.set(xscale="log", xlabel="training images", ylabel=axis_label(metric))
    shown = [(c, c.images) for c in crossings if c.images is not None][:MOST_CROSSINGS]
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom - (top - bottom) * 0.1 * len(shown), top)
    sizes = sorted({r.images for s in strategies.values() for r in s.curve})
    right = max([sizes[-1] * (EXTENDED if bands else 1), *(images for _, images in shown)])
    axes.set_xlim(sizes[0] * 0.93, right * (right / sizes[0]) ** (0.02 if keyed else 0.34 if width < 6 else 0.16))
    few_ticks(axes, lambda value, _: f"{value:,.0f}")
    gap = (axes.get_ylim()[1] - axes.get_ylim()[0]) * 0.055
    for (name, x, _), y in zip([] if keyed else ends, spread([y for *_, y in ends], gap)):
        axes.annotate(name, (x, y), (8, 0), textcoords="offset points", va="center", color=looks[name].colour,
                      weight="bold")  # fmt: skip
    for number, (crossover, at) in enumerate(shown):
        _crossing(axes, crossover, at, 0.035 + 0.09 * number)


def _law(axes: Axes, law: FittedCurve, size: float, look: SeriesStyle, full: float) -> dict[str, Any]:
    """Draw the fitted curve, thin, beyond the largest measured size; return its band."""
    images = np.array(law.images)
    at = np.append(full, images[images > full])
    low, middle, high = (size * np.interp(np.log(at), np.log(images), v) for v in (law.low, law.middle, law.high))
    axes.plot(at, middle, color=look.colour, lw=0.9, zorder=2)
    return {"x": at, "y1": low, "y2": high, "facecolor": look.colour}


def _crossing(axes: Axes, crossover: Crossover, images: float, height: float) -> None:
    """Mark where two curves cross, with its interval, in a lane of its own at the bottom of the figure."""
    place = axes.get_xaxis_transform()
    left, right = axes.get_xlim()
    low, high = (min(max(end, left), right) for end in crossover.ci or (images, images))
    axes.plot([low, high], [height] * 2, color=INK[0], lw=1.2, transform=place, solid_capstyle="butt")
    axes.plot([low, high], [height] * 2, "|", color=INK[0], ms=6, transform=place)
    axes.plot([images], [height], "X", color=INK[0], mec=SURFACE[0], ms=8, transform=place)
    words = f"{crossover.a} × {crossover.b}"  # noqa: RUF001
    middle = float(np.clip(np.log((low * high) ** 0.5 / left) / np.log(right / left), 0.2, 0.8))
    axes.annotate(words, (middle, height), (0, 5), xycoords="axes fraction", textcoords="offset points", ha="center",
                  fontsize=8.5, color=MUTED[0])  # fmt: skip
