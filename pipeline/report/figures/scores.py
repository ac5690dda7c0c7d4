"""The figures of a comparison: each strategy's score against its cost, the differences of pairs, and calibration.

Each has a text alternative made of the same numbers. Nothing here computes a statistic.
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.report.figures.drawing import (
    CROWDED,
    INK,
    LEAST_SPAN,
    LINE,
    MUTED,
    SURFACE,
    Picture,
    SeriesStyle,
    blank,
    broken,
    flops_axis,
    key,
    label_points,
)
from pipeline.statistics.schema import Calibration, Comparison, Pair
from pipeline.verdict.formatting import (
    axis_label,
    called,
    flops,
    level,
    listed,
    percent,
    scale,
    score,
    signed,
    span,
    unit,
)
from pipeline.verdict.pairwise import pareto_front
from pipeline.verdict.rule import recommend

MOST_PAIRS = 15


def accuracy_cost(comparison: Comparison) -> Picture:
    """Return each strategy's test score against the FLOPs of one training and of one prediction."""
    metric, strategies = comparison.metric, comparison.strategies
    labels = ("FLOPs of one training", "FLOPs of one prediction")
    looks = SeriesStyle.of(list(strategies))
    costs = [{n: s.cost.train_flops for n, s in strategies.items()},
             {n: s.cost.predict_flops for n, s in strategies.items()}]  # fmt: skip
    tests = {n: s.test[metric] for n, s in strategies.items()}
    heights = {n: scale(metric) * test.mean for n, test in tests.items()}
    ends = {n: [scale(metric) * end for end in test.ci] for n, test in tests.items()}
    beside = [side_by_side(each) for each in costs]
    fronts = [pareto_front(comparison, "train_flops"), pareto_front(comparison, "predict_flops")]
    parts = [
        f"{n}: {score(tests[n].mean, metric)} ({span(tests[n].ci, metric)}) with "
        f"{flops(s.cost.train_flops)} to train and {flops(s.cost.predict_flops)} to predict"
        for n, s in sorted(strategies.items())
    ]
    trained, used = map(listed, fronts)
    text = (
        f"Test {called(metric)} with its {level(comparison.confidence)} interval against FLOPs. {'; '.join(parts)}. "
        f"No other strategy is both cheaper to train and better than {trained}, or both cheaper in prediction and "
        f"better than {used}."
    )

    def drawn(width: float) -> Figure:
        stacked = width < 6 or len(strategies) > CROWDED
        figure = blank(width, 6.4 if stacked else 3.5)
        row = np.ravel(figure.subplots(2, 1) if stacked else figure.subplots(1, 2, sharey=True))
        for axes, label, cost, places, front in zip(row, labels, costs, beside, fronts):
            _scatter(axes, comparison, places, looks)
            flops_axis(axes, label)
            _stairs(axes, [(cost[name], heights[name]) for name in front])
            if stacked or axes is row[0]:
                axes.set_ylabel(axis_label(metric))
        if len(strategies) > CROWDED:
            key(figure, looks, width)
        for axes, places in zip(row, beside if len(strategies) <= CROWDED else ()):
            label_points(axes, {n: (places[n], heights[n]) for n in strategies}, ends, looks)
        return figure

    return Picture("accuracy_cost", f"{called(metric)} against cost".capitalize(), text, drawn)


def side_by_side(costs: Mapping[str, float]) -> dict[str, float]:
    """Return where to draw each cost on a logarithmic axis: nearly equal ones are moved slightly apart."""
    low, high = min(costs.values()), max(costs.values())
    step = 0.03 * max(np.log(high / low), np.log(LEAST_SPAN))
    found: dict[str, float] = {}
    for cost in sorted(set(costs.values())):
        same = sorted(name for name in costs if name not in found and abs(np.log(costs[name] / cost)) < step / 2)
        found |= {name: costs[name] * float(np.exp(step * (i - (len(same) - 1) / 2))) for i, name in enumerate(same)}
    return found


def _scatter(axes: Axes, comparison: Comparison, places: dict[str, float], looks: dict[str, SeriesStyle]) -> None:
    metric, size = comparison.metric, scale(comparison.metric)
    for name, s in sorted(comparison.strategies.items()):
        found, cost, look = s.test[metric], places[name], looks[name]
        mean, (low, high) = size * found.mean, (size * end for end in found.ci)
        axes.errorbar(cost, mean, [[max(0, mean - low)], [max(0, high - mean)]], fmt=look.marker, color=look.colour,
                      capsize=3, ms=8, elinewidth=1.4, zorder=3)  # fmt: skip
        seeds = [size * value for value in found.per_seed]
        axes.plot([cost] * len(seeds), seeds, "_", color=look.colour, ms=9, mew=1, alpha=0.55, zorder=2)
    axes.margins(y=0.12)


def _stairs(axes: Axes, corners: list[tuple[float, float]]) -> None:
    """Draw the Pareto front as steps, on to the right edge."""
    costs, scores = [c for c, _ in corners], [s for _, s in corners]
    right = axes.get_xlim()[1]
    axes.plot(
        [*costs, right], [*scores, scores[-1]], drawstyle="steps-post", color=MUTED[0], lw=1, ls=(0, (2, 2)), zorder=1
    )
    axes.set_xlim(right=right)


def notable_pairs(comparison: Comparison) -> list[Pair]:
    """Return all pairs; of more than 15, only those with the recommended strategy or the winner."""
    found, central = list(comparison.pairs), {comparison.winner, recommend(comparison)}
    return found if len(found) <= MOST_PAIRS else [p for p in found if central & {p.a, p.b}]


def pairs(comparison: Comparison) -> Picture | None:
    """Return the difference of every pair with its interval, or None of a single strategy."""
    metric, shown = comparison.metric, notable_pairs(comparison)
    if not shown:
        return None
    found = [pair.differences[metric] for pair in shown]
    parts = [
        f"{p.a} minus {p.b}: {signed(d.difference, metric)} "
        f"({signed(d.ci[0], metric)} to {signed(d.ci[1], metric)}), "
        + (f"{p.better} is significantly better" if p.better else "no significant difference")
        for p, d in zip(shown, found)
    ]
    what = f"{called(metric)}{',' + unit(metric) if unit(metric) else ''}"
    text = f"Differences in test {what}, with {level(comparison.confidence)} intervals. {'; '.join(parts)}."

    def drawn(width: float) -> Figure:
        figure = blank(width, 0.9 + 0.36 * len(shown))
        axes, size = figure.subplots(), scale(metric)
        for row, (p, d) in enumerate(zip(shown, found)):
            low, high = (size * end for end in d.ci)
            axes.plot([low, high], [row, row], color=(INK if p.better else MUTED)[0], lw=2.4 if p.better else 1.2)
            axes.plot(size * d.difference, row, "o", ms=7, color=INK[0], mfc=INK[0] if p.better else SURFACE[0])
        axes.axvline(0, color=MUTED[0], lw=1)
        axes.set_yticks(range(len(shown)), [_minus(p.a, p.b, width) for p in shown], color=INK[0])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.xaxis.set_major_locator(MaxNLocator(5 if width < 6 else 8))
        axes.set_xlabel(f"difference in test {what}")
        return figure

    return Picture("pairs", "Pairwise differences", text, drawn)


def _minus(a: str, b: str, width: float) -> str:
    """Return the label of a difference, on two lines where a narrow figure has no room for one."""
    return f"{a} \N{MINUS SIGN}{chr(10) if width < 6 and len(a + b) > 20 else ' '}{b}"


def reliability(comparison: Comparison) -> Picture:
    """Return accuracy against confidence before and after temperature scaling."""
    rows = {n: s.calibration for n, s in sorted(comparison.strategies.items())}
    looks = SeriesStyle.of(list(comparison.strategies))
    parts = [
        f"{n}: expected calibration error {percent(c.raw.ece)} before, {percent(c.scaled.ece)} after"
        for n, c in rows.items()
    ]
    text = f"Accuracy against confidence, before and after temperature scaling. {'; '.join(parts)}."

    def drawn(width: float) -> Figure:
        columns = min(len(rows), 2 if width < 6 else 4)
        lines = -(-len(rows) // columns)
        figure = blank(width, lines * (0.92 * width / max(columns, 2 if width < 6 else 3)) + 0.3)
        grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
        for axes in grid.flat[len(rows) :]:
            axes.set_axis_off()
        for axes, (name, calibration) in zip(grid.flat, rows.items()):
            _reliability(axes, calibration, looks[name])
            axes.set_title(broken(name, 16), color=looks[name].colour)
        figure.supxlabel("confidence, %", fontsize=9.5, color=MUTED[0])
        figure.supylabel("accuracy, %", fontsize=9.5, color=MUTED[0])
        return figure

    return Picture("reliability", "Calibration", text, drawn)


def _reliability(axes: Axes, calibration: Calibration, look: SeriesStyle) -> None:
    axes.plot([0, 100], [0, 100], color=MUTED[0], lw=1, ls=":")
    for errors, filled in ((calibration.raw, False), (calibration.scaled, True)):
        x, y = [100 * b.confidence for b in errors.bins], [100 * b.accuracy for b in errors.bins]
        axes.plot(x, y, color=look.colour, lw=1.6 if filled else 1, ls="-" if filled else "--", zorder=2 + filled)
        axes.scatter(x, y, s=[12 + 60 * b.share for b in errors.bins], marker="o", linewidths=1.2,
                     edgecolors=look.colour, facecolors=look.colour if filled else SURFACE[0],
                     zorder=2 + filled)  # fmt: skip
    least = min([50.0, *(100 * b.low for b in (*calibration.raw.bins, *calibration.scaled.bins))])
    axes.set(xlim=(least - 2, 102), ylim=(-4, 104), xticks=[x for x in (0, 25, 50, 75, 100) if x >= least])
    axes.spines[:].set_color(LINE[0])
