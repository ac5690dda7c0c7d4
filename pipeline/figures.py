"""The figures of a comparison: each strategy's score against its cost and against data, pairs, and calibration.

A figure comes with its finding in words, made of the same numbers. Nothing here computes a statistic.
"""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline import wording
from pipeline.drawing import INK, LINE, MUTED, SURFACE, Look, Picture, blank, few_ticks, flops_axis, label_points, png
from pipeline.drawing import spread as spread_out
from pipeline.metrics import LOWER_IS_BETTER
from pipeline.wording import called, listed, percent, quantity, scale, score, signed, span, unit

Comparison = dict[str, Any]
MOST_PAIRS = 15


def pictures(comparison: Comparison) -> dict[str, Picture]:
    """Return every figure that a comparison has the data for, by name."""
    found = [accuracy_cost(comparison), learning_curves(comparison), pairs(comparison), reliability(comparison)]
    return {picture.name: picture for picture in found if picture}


def draw(shown: dict[str, Picture], folder: Path) -> dict[Path, str]:
    """Draw figures as PNG into a folder; return their paths with what they say in words."""
    return {png(picture, folder): picture.text for picture in shown.values()}


def _share(comparison: Comparison) -> str:
    return f"{100 * comparison.get('confidence', 0.95):g} %"


def _label(metric: str) -> str:
    return f"test {called(metric)}{', %' if metric in wording.POINTS else ''}"


def staircase(points: dict[str, tuple[float, float]], metric: str) -> list[str]:
    """Return the names that nothing both cheaper and better stands against, by cost: {name: (cost, score)}."""
    sign = -1 if metric in LOWER_IS_BETTER else 1
    front: list[str] = []
    for name, (_, value) in sorted(points.items(), key=lambda item: (item[1][0], -sign * item[1][1], item[0])):
        if not front or sign * value > sign * points[front[-1]][1]:
            front.append(name)
    return front


def accuracy_cost(comparison: Comparison) -> Picture:
    """Return each strategy's test score against the FLOPs of one training and of one prediction."""
    metric, strategies = comparison["metric"], comparison["strategies"]
    kinds = {"train_flops": "FLOPs of one training", "predict_flops": "FLOPs of one prediction"}
    looks = Look.of(list(strategies))
    points = {
        kind: {n: (s["cost"][kind], scale(metric) * s["test"][metric]["mean"]) for n, s in strategies.items()}
        for kind in kinds
    }
    beside = {kind: side_by_side({n: cost for n, (cost, _) in points[kind].items()}) for kind in kinds}
    fronts = {kind: staircase(points[kind], metric) for kind in kinds}
    parts = [
        f"{n}: {score(s['test'][metric]['mean'], metric)} ({span(s['test'][metric]['ci95'], metric)}) for "
        f"{quantity(s['cost']['train_flops']).strip()} to train and {quantity(s['cost']['predict_flops']).strip()} to predict"
        for n, s in sorted(strategies.items())
    ]
    text = (
        f"Test {called(metric)} with its {_share(comparison)} interval against FLOPs. {'; '.join(parts)}. Nothing is both "
        f"cheaper to train and better than {listed(fronts['train_flops'])}; nor cheaper to predict with and better than "
        f"{listed(fronts['predict_flops'])}."
    )

    def drawn(width: float) -> Figure:
        narrow = width < 6
        figure = blank(width, 6.4 if narrow else 3.5)
        row = np.ravel(figure.subplots(2, 1) if narrow else figure.subplots(1, 2, sharey=True))
        for axes, (kind, label) in zip(row, kinds.items()):
            _scatter(axes, comparison, beside[kind], looks)
            flops_axis(axes, label)
            _stairs(axes, [points[kind][name] for name in fronts[kind]])
            if narrow or axes is row[0]:
                axes.set_ylabel(_label(metric))
        for axes, kind in zip(row, kinds):
            label_points(axes, {n: (beside[kind][n], y) for n, (_, y) in points[kind].items()}, looks)
        return figure

    return Picture("accuracy_cost", f"{called(metric)} against cost".capitalize(), text, drawn)


def side_by_side(costs: dict[str, float]) -> dict[str, float]:
    """Return where to draw each cost on a logarithmic axis: those that all but coincide, a little apart."""
    low, high = min(costs.values()), max(costs.values())
    step = 0.03 * max(np.log(high / low), 0.5)
    found: dict[str, float] = {}
    for cost in sorted(set(costs.values())):
        same = sorted(name for name in costs if name not in found and abs(np.log(costs[name] / cost)) < step / 2)
        found |= {name: costs[name] * float(np.exp(step * (i - (len(same) - 1) / 2))) for i, name in enumerate(same)}
    return found


def _scatter(axes: Axes, comparison: Comparison, places: dict[str, float], looks: dict[str, Look]) -> None:
    metric = comparison["metric"]
    for name, s in sorted(comparison["strategies"].items()):
        found, cost, look, size = s["test"][metric], places[name], looks[name], scale(metric)
        mean, (low, high) = size * found["mean"], (size * end for end in found["ci95"])
        axes.errorbar(cost, mean, [[max(0, mean - low)], [max(0, high - mean)]], fmt=look.marker, color=look.colour,
                      capsize=3, ms=8, elinewidth=1.4, zorder=3)  # fmt: skip
        seeds = [size * value for value in found["per_seed"]]
        axes.plot([cost] * len(seeds), seeds, "_", color=look.colour, ms=9, mew=1, alpha=0.55, zorder=2)
    axes.margins(y=0.12)


def _stairs(axes: Axes, corners: list[tuple[float, float]]) -> None:
    """Draw the border of what can be had at each cost, on to the right edge."""
    costs, scores = [c for c, _ in corners], [s for _, s in corners]
    right = axes.get_xlim()[1]
    axes.plot([*costs, right], [*scores, scores[-1]], drawstyle="steps-post", color=MUTED[0], lw=1, ls=(0, (2, 2)), zorder=1)
    axes.set_xlim(right=right)


def learning_curves(comparison: Comparison) -> Picture | None:
    """Return each strategy's test score against the number of training images, or None of a single size."""
    metric = comparison["metric"]
    curves = {name: s["curve"] for name, s in sorted(comparison["strategies"].items()) if len(s.get("curve") or []) > 1}
    if not curves:
        return None
    crossings = [c for c in comparison.get("crossovers", []) if c["metric"] == metric]
    steps = {n: [f"{score(r[metric]['mean'], metric)} with {r['images']:,} images" for r in rows] for n, rows in curves.items()}
    parts = [f"{name}: {', '.join(found)}" for name, found in steps.items()]
    text = (
        f"Test {called(metric)} against the number of training images, with {_share(comparison)} bands. "
        f"{'; '.join(parts)}. {' '.join(c['sentence'] for c in crossings)}"
    ).strip()

    def drawn(width: float) -> Figure:
        figure = blank(width, 4.4 if width < 6 else 4.2)
        _curves(figure.subplots(), comparison, curves, crossings, width)
        return figure

    return Picture("learning_curves", "Learning curves over data size", text, drawn)


def _curves(axes: Axes, comparison: Comparison, curves: dict[str, Any], crossings: list[Any], width: float) -> None:
    metric, looks, ends = comparison["metric"], Look.of(list(comparison["strategies"])), []
    size = scale(metric)
    for name, rows in curves.items():
        look, images = looks[name], [r["images"] for r in rows]
        means = [size * r[metric]["mean"] for r in rows]
        low, high = ([size * r[metric]["ci95"][end] for r in rows] for end in (0, 1))
        axes.fill_between(images, low, high, color=look.colour, alpha=0.14, lw=0)
        if fit := comparison["strategies"][name].get("fit"):
            axes.plot(fit["images"], [size * v for v in fit[metric]], color=look.colour, lw=0.9, alpha=0.8)
            axes.plot(images, means, look.marker, color=look.colour)
        else:
            axes.plot(images, means, color=look.colour, marker=look.marker, ls=look.dashes)
        ends.append((name, images[-1], means[-1]))
    axes.set(xscale="log", xlabel="training images", ylabel=_label(metric))
    shown = [c for c in crossings if c["images"]]
    low, high = axes.get_ylim()
    axes.set_ylim(low - (high - low) * 0.1 * len(shown), high)
    sizes = sorted({r["images"] for rows in curves.values() for r in rows})
    right = max([sizes[-1], *(c["images"] for c in shown)])
    axes.set_xlim(sizes[0] * 0.93, right * (right / sizes[0]) ** (0.34 if width < 6 else 0.16))
    few_ticks(axes, lambda value, _: f"{value:,.0f}")
    gap = (axes.get_ylim()[1] - axes.get_ylim()[0]) * 0.055
    for (name, x, _), y in zip(ends, spread_out([y for *_, y in ends], gap)):
        axes.annotate(name, (x, y), (8, 0), textcoords="offset points", va="center", color=looks[name].colour,
                      weight="bold")  # fmt: skip
    for number, crossing in enumerate(shown):
        _crossing(axes, crossing, 0.035 + 0.09 * number)


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


def notable_pairs(comparison: Comparison) -> list[dict[str, Any]]:
    """Return all pairs; of more than 15, those with the recommended strategy or the winner alone."""
    found: list[dict[str, Any]] = comparison["pairs"]
    central = {comparison["winner"], comparison["recommended"]}
    return found if len(found) <= MOST_PAIRS else [p for p in found if central & {p["a"], p["b"]}]


def pairs(comparison: Comparison) -> Picture | None:
    """Return the difference of every pair with its interval, or None of a single strategy."""
    metric, shown = comparison["metric"], notable_pairs(comparison)
    if not shown:
        return None
    parts = [
        f"{p['a']} minus {p['b']}: {signed(p[metric]['difference'], metric)} "
        f"({signed(p[metric]['ci95'][0], metric)} to {signed(p[metric]['ci95'][1], metric)}), "
        + (f"{p['better']} is better" if p.get("better") else "not told apart")
        for p in shown
    ]
    text = f"Differences in test {called(metric)}{unit(metric)} with {_share(comparison)} intervals. {'; '.join(parts)}."

    def drawn(width: float) -> Figure:
        figure = blank(width, 0.9 + 0.36 * len(shown))
        axes, size = figure.subplots(), scale(metric)
        for row, p in enumerate(shown):
            low, high = (size * end for end in p[metric]["ci95"])
            told, mean = p.get("better"), size * p[metric]["difference"]
            axes.plot([low, high], [row, row], color=(INK if told else MUTED)[0], lw=2.4 if told else 1.2)
            axes.plot(mean, row, "o", ms=7, color=INK[0], mfc=INK[0] if told else SURFACE[0])
        axes.axvline(0, color=MUTED[0], lw=1)
        axes.set_yticks(range(len(shown)), [f"{p['a']} − {p['b']}" for p in shown], color=INK[0])  # noqa: RUF001
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.xaxis.set_major_locator(MaxNLocator(5 if width < 6 else 8))
        axes.set_xlabel(f"difference in test {called(metric)}{',' + unit(metric) if unit(metric) else ''}")
        return figure

    return Picture("pairs", "Differences of every pair", text, drawn)


def reliability(comparison: Comparison) -> Picture | None:
    """Return accuracy against confidence before and after temperature scaling, or None where it was not measured."""
    rows = {n: s["calibration"] for n, s in sorted(comparison["strategies"].items()) if s.get("calibration")}
    if not rows:
        return None
    looks = Look.of(list(comparison["strategies"]))
    parts = [
        f"{n}: the expected calibration error is {percent(c['raw']['ece'])} before and {percent(c['scaled']['ece'])} after"
        for n, c in rows.items()
    ]
    text = f"Share of right answers against confidence, before and after temperature scaling. {'; '.join(parts)}."

    def drawn(width: float) -> Figure:
        columns = min(len(rows), 2 if width < 6 else 4)
        lines = -(-len(rows) // columns)
        figure = blank(width, lines * (0.92 * width / max(columns, 2 if width < 6 else 3)) + 0.3)
        grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
        for axes in grid.flat[len(rows) :]:
            axes.set_axis_off()
        for axes, (name, calibration) in zip(grid.flat, rows.items()):
            _reliability(axes, calibration, looks[name])
            axes.set_title(name, color=looks[name].colour)
        figure.supxlabel("confidence, %", fontsize=9.5, color=MUTED[0])
        figure.supylabel("right answers, %", fontsize=9.5, color=MUTED[0])
        return figure

    return Picture("reliability", "Reliability", text, drawn)


def _reliability(axes: Axes, calibration: dict[str, Any], look: Look) -> None:
    axes.plot([0, 100], [0, 100], color=MUTED[0], lw=1, ls=":")
    for kind, filled in (("raw", False), ("scaled", True)):
        bins = [b for b in calibration[kind]["bins"] if b["share"]]
        x, y = ([100 * b[key] for b in bins] for key in ("confidence", "accuracy"))
        axes.plot(x, y, color=look.colour, lw=1.6 if filled else 1, ls="-" if filled else "--", zorder=2 + filled)
        axes.scatter(x, y, s=[12 + 60 * b["share"] for b in bins], marker="o", linewidths=1.2, edgecolors=look.colour,
                     facecolors=look.colour if filled else SURFACE[0], zorder=2 + filled)  # fmt: skip
    least = min([100 * b["low"] for kind in ("raw", "scaled") for b in calibration[kind]["bins"] if b["share"]], default=0)
    axes.set(xlim=(min(least, 50) - 2, 102), ylim=(-4, 104), xticks=[x for x in (0, 25, 50, 75, 100) if x >= min(least, 50)])
    axes.spines[:].set_color(LINE[0])
