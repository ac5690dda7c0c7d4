"""A task made by code alone: charts by kind, in the many looks that matplotlib can give them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.zoo.folder import Picture
from pipeline.common.seeding import derive

EACH, SIDE, DPI = 90, 128, 80  # charts of a kind; pixels of a side; pixels of an inch
MAPS = ("viridis", "magma", "cividis", "Greys", "Blues", "RdYlBu", "terrain", "tab10")
Draw = Callable[[Any, np.random.Generator, Callable[[], Any]], None]


def charts(packages: Path) -> Iterator[Picture]:
    """Yield charts by kind."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        for name, draw in KINDS.items():
            rng = np.random.default_rng(derive("charts", name))
            for _ in range(EACH):
                figure = Figure(figsize=(SIDE / DPI, SIDE / DPI), dpi=DPI)
                canvas = FigureCanvasAgg(figure)
                _dressed(figure, draw, rng)
                canvas.draw()
                pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
                yield Picture(np.asarray(pixels), name)


def _dressed(figure: Any, draw: Draw, rng: np.random.Generator) -> None:
    """Draw a chart with grounds, frame, ticks and grid of random looks."""
    dark = rng.random() < 0.3
    ground, ink = (rng.uniform(0, 0.3, 3), "white") if dark else (rng.uniform(0.75, 1, 3), "black")
    figure.set_facecolor(rng.uniform(0.8, 1, 3))
    axes = figure.add_axes((*rng.uniform(0.1, 0.2, 2), *rng.uniform(0.65, 0.78, 2)))
    axes.set_facecolor(ground)

    def colour() -> Any:
        return rng.uniform(0.35, 1, 3) if dark else rng.uniform(0, 0.75, 3)

    draw(axes, rng, colour)
    if rng.random() < 0.4:
        axes.grid(True, color=ink, alpha=0.3, linewidth=0.5)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(bool(rng.random() < 0.6))
    axes.tick_params(labelsize=int(rng.integers(4, 7)), length=2, pad=1)
    if rng.random() < 0.3:
        axes.set_xticks([])
        axes.set_yticks([])


def _walk(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.integers(-10, 11, count).cumsum() * rng.uniform(0.1, 3) + rng.uniform(-20, 20)


def _bars(axes: Any, rng: np.random.Generator, colour: Callable[[], Any]) -> None:
    axes.bar(np.arange(count := rng.integers(3, 12)), rng.uniform(1, 10, count), rng.uniform(0.4, 0.95), color=colour())


def _stacked(axes: Any, rng: np.random.Generator, colour: Callable[[], Any]) -> None:
    count, base, width = rng.integers(3, 10), 0.0, rng.uniform(0.4, 0.95)
    for _ in range(rng.integers(2, 5)):
        heights = rng.uniform(1, 6, count)
        axes.bar(np.arange(count), heights, width, bottom=base, color=colour())
        base = base + heights


def _grouped(axes: Any, rng: np.random.Generator, colour: Callable[[], Any]) -> None:
    count, groups = rng.integers(3, 6), int(rng.integers(2, 4))
    for group in range(groups):
        width = 0.8 / groups
        axes.bar(np.arange(count) + width * group, rng.uniform(1, 10, count), width, color=colour())


def _histogram(axes: Any, rng: np.random.Generator, colour: Callable[[], Any]) -> None:
    values = rng.integers(-9, 10, (400, rng.integers(1, 5))).sum(1) + rng.random(400)
    axes.hist(values, bins=int(rng.integers(8, 25)), color=colour(), histtype=("bar", "stepfilled")[rng.integers(2)])


def _lines(axes: Any, rng: np.random.Generator, colour: Callable[[], Any]) -> None:
    for _ in range(rng.integers(1, 4)):
        style = ("-", "--", "-.")[rng.integers(3)]
        axes.plot(_walk(rng, int(rng.integers(8, 60))), style, color=colour(), linewidth=rng.uniform(0.7, 2))


def _steps(axes: Any, rng: np.random.Generator, colour: Callable[[], Any]) -> None:
    for _ in range(rng.integers(1, 4)):
        axes.step(np.arange(12), _walk(rng, 12), where="mid", color=colour(), linewidth=rng.uniform(0.7, 2))


def _area(axes: Any, rng: np.random.Generator, colour: Callable[[], Any]) -> None:
    layers = np.abs([_walk(rng, 25) for _ in range(rng.integers(1, 5))]) + 4
    axes.stackplot(np.arange(25), layers, colors=[colour() for _ in layers])


def _scatter(axes: Any, rng: np.random.Generator, colour: Callable[[], Any]) -> None:
    for _ in range(rng.integers(1, 4)):
        count, slope = int(rng.integers(15, 60)), rng.uniform(-1, 1)
        x = rng.uniform(0, 10, count)
        axes.scatter(x, slope * x + rng.uniform(-3, 3, count), rng.uniform(2, 14), color=colour(),
                     marker="os^xD+"[rng.integers(6)], linewidths=0.7)  # fmt: skip


def _bubbles(axes: Any, rng: np.random.Generator, colour: Callable[[], Any]) -> None:
    count = int(rng.integers(8, 25))
    axes.scatter(rng.uniform(0, 10, count), rng.uniform(0, 10, count), rng.uniform(5, 250, count), color=colour(),
                 alpha=0.6)  # fmt: skip


def _boxes(axes: Any, rng: np.random.Generator, colour: Callable[[], Any]) -> None:
    ink, filled = colour(), bool(rng.random() < 0.5)
    looks: dict[str, Any] = {
        each: {"color": ink, "linewidth": 0.8} for each in ("whiskerprops", "capprops", "medianprops")
    }
    looks["boxprops"] = {"facecolor": colour(), "edgecolor": ink} if filled else {"color": ink}
    looks["flierprops"] = {"markersize": 2, "markeredgecolor": ink}
    axes.boxplot([_walk(rng, 15) for _ in range(rng.integers(2, 6))], patch_artist=filled, widths=0.6, **looks)


def _violins(axes: Any, rng: np.random.Generator, colour: Callable[[], Any]) -> None:
    parts = axes.violinplot([_walk(rng, 25) for _ in range(rng.integers(2, 6))], widths=0.8)
    ink = colour()
    for body in parts["bodies"]:
        body.set_color(ink)
        body.set_alpha(0.7)
    for each in ("cbars", "cmins", "cmaxes"):
        parts[each].set_color(ink)
        parts[each].set_linewidth(0.7)


def _errors(axes: Any, rng: np.random.Generator, colour: Callable[[], Any]) -> None:
    for _ in range(rng.integers(1, 3)):
        count = int(rng.integers(4, 10))
        axes.errorbar(np.arange(count), rng.uniform(0, 10, count), rng.uniform(0.5, 3, count), color=colour(),
                      fmt=("o", "s", "-o")[rng.integers(3)], markersize=2.5, linewidth=0.8, capsize=2)  # fmt: skip


def _pie(axes: Any, rng: np.random.Generator, colour: Callable[[], Any]) -> None:
    count = int(rng.integers(2, 8))
    axes.pie(rng.uniform(1, 6, count), colors=[colour() for _ in range(count)], startangle=rng.uniform(0, 360),
             explode=rng.uniform(0, 0.15, count) * (rng.random() < 0.4))  # fmt: skip


def _ring(axes: Any, rng: np.random.Generator, colour: Callable[[], Any]) -> None:
    count = int(rng.integers(2, 8))
    axes.pie(rng.uniform(1, 6, count), colors=[colour() for _ in range(count)], startangle=rng.uniform(0, 360),
             wedgeprops={"width": rng.uniform(0.2, 0.55)})  # fmt: skip


def _heat(axes: Any, rng: np.random.Generator, colour: Callable[[], Any]) -> None:
    axes.imshow(rng.random(rng.integers(4, 14, 2)), cmap=MAPS[rng.integers(len(MAPS))], aspect="auto")


def _contours(axes: Any, rng: np.random.Generator, colour: Callable[[], Any]) -> None:
    coarse = Image.fromarray(rng.random((5, 5)).astype(np.float32)).resize((40, 40), Image.Resampling.BICUBIC)
    drawn = axes.contourf if rng.random() < 0.5 else axes.contour
    drawn(np.asarray(coarse), levels=int(rng.integers(4, 10)), cmap=MAPS[rng.integers(len(MAPS))])


KINDS: dict[str, Draw] = {
    "area": _area,
    "bars": _bars,
    "boxes": _boxes,
    "bubbles": _bubbles,
    "contours": _contours,
    "errors": _errors,
    "grouped bars": _grouped,
    "heat map": _heat,
    "histogram": _histogram,
    "lines": _lines,
    "pie": _pie,
    "ring": _ring,
    "scatter": _scatter,
    "stacked bars": _stacked,
    "steps": _steps,
    "violins": _violins,
}
