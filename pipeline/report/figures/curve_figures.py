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
from pipeline.verdict.formatting import axis_label, called, confidence, scale, score

MOST_CROSSINGS = 3  # in the figure: each has a lane of its own
EXTENDED = 3  # times the images there are: how far a fitted law is drawn

Comparison = dict[str, Any]


def learning_curves(comparison: Comparison) -> Picture | None:
    """Return each strategy's test score against the number of training images, or None of a single size."""
    metric = comparison["metric"]
    curves = {name: s["curve"] for name, s in sorted(comparison["strategies"].items()) if len(s.get("curve") or []) > 1}
    if not curves:
        return None
    crossings, _ = tables.crossings(comparison)
    parts = [
        f"{name}: " + ", ".join(f"{score(r[metric]['mean'], metric)} with {r['images']:,} images" for r in rows)
        for name, rows in curves.items()
    ]
    text = (
        f"Test {called(metric)} against the number of training images, with {confidence(comparison)} bands. "
        f"{'; '.join(parts)}. {' '.join(c['sentence'].rstrip('.') + '.' for c in crossings)}"
    ).strip()

    def drawn(width: float) -> Figure:
        figure = blank(width, 4.4 if width < 6 else 4.2)
        keyed = width < 6 and len(curves) > CROWDED
        _curves(figure.subplots(), comparison, curves, crossings, width, keyed)
        if keyed:
            looks = SeriesStyle.of(list(comparison["strategies"]))
            key(figure, {name: looks[name] for name in curves}, width)
        return figure

    return Picture("learning_curves", "Learning curves over data size", text, drawn)


def _curves(axes: Axes, comparison: Comparison, curves: dict[str, Any], crossings: list[Any], width: float,
            keyed: bool) -> None:  # fmt: skip
    metric, looks, ends = comparison["metric"], SeriesStyle.of(list(comparison["strategies"])), []
    size, bands = scale(metric), []
    for name, rows in curves.items():
        look, images = looks[name], [r["images"] for r in rows]
        means = [size * r[metric]["mean"] for r in rows]
        low, high = ([size * r[metric]["ci95"][end] for r in rows] for end in (0, 1))
        axes.fill_between(images, low, high, color=look.colour, alpha=0.14, lw=0)
        axes.plot(images, means, color=look.colour, marker=look.marker, ls=look.dashes, zorder=3)
        if law := comparison["strategies"][name].get("law"):
            bands.append(_law(axes, law, size, look, images[-1]))
        ends.append((name, images[-1], means[-1]))
    axes.set_ylim(axes.get_ylim())  # a law's band may be much wider: what was measured is what is looked at
    for band in bands:
        axes.fill_between(**band, alpha=0.07, lw=0)
    axes.set(xscale="log", xlabel="training images", ylabel=axis_label(metric))
    shown = [c for c in crossings if c["images"]][:MOST_CROSSINGS]
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom - (top - bottom) * 0.1 * len(shown), top)
    sizes = sorted({r["images"] for rows in curves.values() for r in rows})
    laws = any(comparison["strategies"][name].get("law") for name in curves)
    right = max([sizes[-1] * (EXTENDED if laws else 1), *(c["images"] for c in shown)])
    axes.set_xlim(sizes[0] * 0.93, right * (right / sizes[0]) ** (0.02 if keyed else 0.34 if width < 6 else 0.16))
    few_ticks(axes, lambda value, _: f"{value:,.0f}")
    gap = (axes.get_ylim()[1] - axes.get_ylim()[0]) * 0.055
    for (name, x, _), y in zip([] if keyed else ends, spread([y for *_, y in ends], gap)):
        axes.annotate(name, (x, y), (8, 0), textcoords="offset points", va="center", color=looks[name].colour,
                      weight="bold")  # fmt: skip
    for number, crossing in enumerate(shown):
        _crossing(axes, crossing, 0.035 + 0.09 * number)


def _law(axes: Axes, law: dict[str, list[float]], size: float, look: SeriesStyle, full: float) -> dict[str, Any]:
    """Draw the fitted law, thin, from all images on, where nothing was measured; return its band."""
    images = np.array(law["images"])
    at = np.append(full, images[images > full])
    low, middle, high = (size * np.interp(np.log(at), np.log(images), law[key]) for key in ("low", "middle", "high"))
    axes.plot(at, middle, color=look.colour, lw=0.9, zorder=2)
    return {"x": at, "y1": low, "y2": high, "facecolor": look.colour}


def _crossing(axes: Axes, crossing: dict[str, Any], height: float) -> None:
    """Mark where two curves cross, with its interval, in a lane of its own at the foot of the figure."""
    place = axes.get_xaxis_transform()
    left, right = axes.get_xlim()
    low, high = (min(max(end, left), right) for end in crossing["ci95"] or [crossing["images"]] * 2)
    axes.plot([low, high], [height] * 2, color=INK[0], lw=1.2, transform=place, solid_capstyle="butt")
    axes.plot([low, high], [height] * 2, "|", color=INK[0], ms=6, transform=place)
    axes.plot([crossing["images"]], [height], "X", color=INK[0], mec=SURFACE[0], ms=8, transform=place)
    words = f"{crossing['a']} × {crossing['b']}"  # noqa: RUF001
    middle = float(np.clip(np.log((low * high) ** 0.5 / left) / np.log(right / left), 0.2, 0.8))
    axes.annotate(words, (middle, height), (0, 5), xycoords="axes fraction", textcoords="offset points", ha="center",
                  fontsize=8.5, color=MUTED[0])  # fmt: skip
