"""How every figure looks, and how it becomes a PNG for Markdown or an SVG that follows the page's theme.

A figure is drawn in the light theme's colours. In an SVG each of them becomes a CSS variable, so that the page's dark
theme recolours it; text stays text, in the page's own font.
"""

import io
import re
import textwrap
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox

from pipeline.common.files import atomic
from pipeline.verdict.formatting import quantity

# Okabe and Ito's colours (light theme, dark theme), darkened or lightened to 3:1 with the background.
SERIES = (
    ("#0072b2", "#4ba3e3"),
    ("#c95700", "#f07d3a"),
    ("#008a64", "#2fbf95"),
    ("#b5568c", "#dd92bb"),
    ("#a06f00", "#e6a520"),
    ("#3a8fc4", "#8fd0f5"),
    ("#3d4450", "#b9c0ca"),
    ("#7d7500", "#e3d94a"),
)
INK, MUTED, LINE, SURFACE = (
    ("#1a1f26", "#e8ebef"),
    ("#59626f", "#a3acb8"),
    ("#d9dde3", "#343b45"),
    ("#fffffe", "#1b2027"),
)
THEME = {"ink": INK, "muted": MUTED, "line": LINE, "surface": SURFACE} | {f"s{i}": c for i, c in enumerate(SERIES)}
MARKERS, DASHES = "osD^vPX*", ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (7, 3)))
LEAST_SPAN = 6.0  # of an axis of FLOPs, from end to end
WIDE, NARROW = 8.0, 4.1  # inches; a narrow one is shown on phones, where a wide one would be too small to read

STYLE = {
    "font.size": 9.5, "axes.titlesize": 9.5, "axes.labelsize": 9.5, "legend.fontsize": 9, "font.family": "DejaVu Sans",
    "text.color": INK[0], "axes.labelcolor": MUTED[0], "axes.edgecolor": LINE[0], "xtick.color": MUTED[0],
    "ytick.color": MUTED[0], "axes.titlecolor": INK[0], "grid.color": LINE[0], "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True, "grid.linewidth": 0.6, "xtick.major.size": 0,
    "ytick.major.size": 0, "axes.titlelocation": "left", "axes.titleweight": "bold", "figure.dpi": 110,
    "svg.hashsalt": "headstart", "svg.fonttype": "none", "text.parse_math": False, "lines.linewidth": 1.8,
    "lines.markersize": 6,
}  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """A figure yet to be drawn, with its text alternative."""

    name: str  # of its file and its anchor
    title: str
    text: str  # the text alternative: what the figure shows, with its numbers
    draw: Callable[[float], Figure]  # of a width in inches


@dataclass(frozen=True)
class SeriesStyle:
    """What one strategy looks like in every figure."""

    colour: str
    marker: str
    dashes: str | tuple

    @classmethod
    def of(cls, names: list[str]) -> "dict[str, SeriesStyle]":
        """Return the look of each strategy, by its place in the alphabet."""
        count = len(SERIES)
        return {
            name: cls(SERIES[i % count][0], MARKERS[(i + i // count) % count], DASHES[(i + i // count) % count])
            for i, name in enumerate(sorted(names))
        }


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as a PNG on white; return its path."""
    with atomic(path) as temporary:
        figure.savefig(temporary, format="png", facecolor="w", metadata={"Software": None})
    return path


def png(picture: Picture, folder: Path) -> Path:
    """Draw a picture into a folder as a PNG on white; return its path."""
    with mpl.rc_context(STYLE):
        return save(picture.draw(WIDE), folder / f"{picture.name}.png")


def draw(pictures: Iterable[Picture], folder: Path) -> dict[Path, str]:
    """Draw pictures into a folder as PNG; return their paths with their text alternatives."""
    return {png(picture, folder): picture.text for picture in pictures}


def svg(picture: Picture) -> str:
    """Return a picture as two inline SVG elements, one for wide screens and paper, one for phones."""
    return "".join(_element(picture, kind, width) for kind, width in (("wide", WIDE), ("narrow", NARROW)))


def _element(picture: Picture, kind: str, width: float) -> str:
    stream = io.StringIO()
    with mpl.rc_context(STYLE):
        picture.draw(width).savefig(stream, format="svg", transparent=True, metadata=dict.fromkeys(
            ("Date", "Creator", "Format", "Type")))  # fmt: skip
    name = f"{picture.name}-{kind}"
    _, box, body = re.split(r'<svg [^>]*viewBox="([^"]*)"[^>]*>', stream.getvalue(), maxsplit=1)
    words = f'<title id="{name}-t">{escape(picture.title)}</title><desc id="{name}-d">{escape(picture.text)}</desc>'
    named = f'role="img" aria-labelledby="{name}-t" aria-describedby="{name}-d"'
    return f'<svg class="{kind}" viewBox="{box}" {named}>{words}{_slim(body, name)}'


def _slim(body: str, name: str) -> str:
    """Remove what the page has already, prefix ids with the figure's name, and turn colours into CSS variables."""
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, flags=re.DOTALL)  # would hold for the whole page
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', body))

    def tag(found: "re.Match[str]") -> str:
        text = re.sub(r"font(-family)?: [^;\"]*(DejaVu|sans-serif)[^;\"]*(; |(?=\"))", _without_family, found[0])
        text = re.sub(r' id="([^"]*)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", text)
        text = re.sub(r'(href="|url\()#', rf"\1#{name}-", text)
        text = re.sub(r' transform="rotate\(-0 [^"]*"', "", text)
        text = re.sub(r"(\d+\.\d{2})\d+", r"\1", text)
        for variable, (light, _) in THEME.items():
            text = text.replace(light, f"var(--{variable})")
        return text

    return re.sub(r"\s*\n\s*", "\n", re.sub(r"<[^>]*>", tag, body)).strip()  # tags alone: what is written stays


def _without_family(found: "re.Match[str]") -> str:
    words = found[0].split(":", 1)[1].split("'")[0].split()
    size = next((w for w in words if w.endswith("px")), "")
    weight = "; font-weight: 600" if {"bold", "700"} & set(words) else ""
    return f"font-size: {size}{weight}{found[3]}" if size else ""


def blank(width: float, height: float) -> Figure:
    """Return an empty figure with automatic layout; width and height in inches."""
    return Figure((width, height), layout="constrained")


def flops_axis(axes: Axes, label: str) -> None:
    """Make the horizontal axis one of FLOPs: logarithmic, with SI prefixes."""
    axes.set_xscale("log")
    axes.set_xlabel(label)
    axes.margins(x=0.12)
    low, high = axes.get_xlim()
    if (short := LEAST_SPAN / (high / low)) > 1:  # else equal costs would look different
        axes.set_xlim(low / short**0.5, high * short**0.5)
    few_ticks(axes, lambda value, _: quantity(value).strip())


def few_ticks(axes: Axes, text: Callable[[float, int], str]) -> None:
    """Mark a logarithmic horizontal axis at a few round numbers, also where it spans less than a decade."""
    low, high = axes.get_xlim()
    for base in ((1, 2, 5), (1, 3), (1,)):
        axes.xaxis.set_major_locator(LogLocator(subs=base, numticks=99))
        if sum(low <= tick <= high for tick in axes.xaxis.get_major_locator()()) <= 6:
            break
    else:
        axes.xaxis.set_major_locator(LogLocator(numticks=6))
    if sum(low <= tick <= high for tick in axes.xaxis.get_major_locator()()) < 2:
        axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(text))


CROWDED = 4  # more strategies than this are named in a legend, not beside their points


def key(figure: Figure, looks: dict[str, SeriesStyle], width: float, hollow: Collection[str] = ()) -> None:
    """Write names with their marks below a figure, in as many columns as its width in inches holds."""
    marks = [
        Line2D([], [], color=look.colour, marker=look.marker, ls="", mfc=SURFACE[0] if name in hollow else look.colour)
        for name, look in looks.items()
    ]
    figure.legend(marks, list(looks), loc="outside lower center", ncols=columns(looks, width), frameon=False,
                  labelcolor=[look.colour for look in looks.values()], handletextpad=0.2)  # fmt: skip


def columns(names: Collection[str], width: float) -> int:
    """Return how many names stand side by side, with their marks, in a width in inches."""
    return max(1, min(len(names), int(width * 11 / (max(map(len, names)) + 6))))  # characters to an inch


def broken(name: str, most: int) -> str:
    """Return a name on lines of at most `most` characters, broken after hyphens."""
    return textwrap.fill(name, most, break_long_words=False)


PLACES = ((9, 5, "left"), (9, -12, "left"), (-9, 5, "right"), (-9, -12, "right"), (7, 16, "left"), (-7, 16, "right"),
          (7, -24, "left"), (-7, -24, "right"), (7, 28, "left"), (-7, 28, "right"), (7, -36, "left"))  # fmt: skip


def label_points(
    axes: Axes, points: dict[str, tuple[float, float]], ends: dict[str, list[float]], looks: dict[str, SeriesStyle]
) -> None:
    """Write each name beside its point, where it overlaps points, intervals and other names the least."""
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    FigureCanvasAgg(figure).draw()  # places everything
    taken: list[tuple[Bbox, int]] = []
    for name, (x, y) in points.items():
        across, middle = axes.transData.transform((x, y))
        low, high = (axes.transData.transform((x, end))[1] for end in ends[name])
        taken += [(Bbox.from_bounds(across - 6, middle - 6, 12, 12), 10)]
        taken += [(Bbox.from_extents(across - 2, low, across + 2, high), 1)]
    for name, (x, y) in sorted(points.items(), key=lambda item: (-item[1][1], item[0])):
        tried: list[tuple[int, int, Bbox, Annotation]] = []
        for dx, dy, side in PLACES:
            text = axes.annotate(name, (x, y), (dx, dy), textcoords="offset points", ha=side, color=looks[name].colour,
                                 weight="bold")  # fmt: skip
            box = text.get_window_extent().padded(1)
            outside = box.x0 < axes.bbox.x0 - 4 or box.x1 > axes.bbox.x1 + 4
            tried.append((sum(w for other, w in taken if box.overlaps(other)) + 5 * outside, len(tried), box, text))
        best = min(tried, key=lambda found: found[:2])
        for *_, text in tried:
            text.set_in_layout(False)
            if text is not best[3]:
                text.remove()
        taken.append((best[2], 10))


def spread(values: list[float], gap: float) -> list[float]:
    """Return the values in their order, moved as little as possible so that neighbours are at least a gap apart."""
    order = sorted(range(len(values)), key=lambda i: (values[i], i))
    placed = [values[i] for i in order]
    for _ in range(100):
        for i in range(1, len(placed)):
            if (short := gap - (placed[i] - placed[i - 1])) > 1e-9:
                placed[i - 1] -= short / 2
                placed[i] += short / 2
    found = [0.0] * len(values)
    for position, i in enumerate(order):
        found[i] = placed[position]
    return found
