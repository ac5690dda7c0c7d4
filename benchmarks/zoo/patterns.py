"""Tasks made by code alone: which rule drew a pattern of cells, and how many things there are."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.zoo.canvas import colour
from benchmarks.zoo.folder import Picture
from pipeline.common.seeding import derive

# Elementary cellular automata (Wolfram 1983) that stay lively from a random start, none another's mirror or negative.
RULES = (18, 22, 25, 26, 30, 37, 41, 45, 54, 57, 60, 62, 73, 90, 94, 105, 106, 110, 122, 126, 146, 150, 154, 184)
RUNS, SHOWN, SETTLING, FLIPPED = 60, 64, 32, 0.03  # patterns of a rule; their side; steps not shown; cells turned over
RING = 211  # cells in all: a prime, since some rules die out on a ring of 64
MOST, PAGES, PAGE = 9, 150, 96  # things on a page, pages of each number, pixels of a page's side


def automata(packages: Path) -> Iterator[Picture]:
    """Yield patterns by rule: each line of cells follows from the one above; some cells are turned over afterwards."""
    for rule in RULES:
        rng = np.random.default_rng(derive("automata", rule))
        table = np.array([rule >> number & 1 for number in range(8)])
        for _ in range(RUNS):
            cells = (rng.random(RING) < rng.uniform(0.2, 0.8)).astype(np.int64)
            lines = []
            for _ in range(SETTLING + SHOWN):
                cells = table[4 * np.roll(cells, 1) + 2 * cells + np.roll(cells, -1)]
                lines.append(cells)
            shown = np.array(lines[SETTLING:])[:, :SHOWN] ^ (rng.random((SHOWN, SHOWN)) < FLIPPED)
            yield Picture((255 * shown).astype(np.uint8), f"rule {rule:03}")


def counting(packages: Path) -> Iterator[Picture]:
    """Yield pages by the number of things on them, which neither their area nor their colour or kind gives away."""
    for count in range(1, MOST + 1):
        rng = np.random.default_rng(derive("counting", count))
        for _ in range(PAGES):
            yield Picture(_page(count, rng), str(count))


def _page(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return (PAGE, PAGE, 3) with so many things apart from each other, drawn at three times the size."""
    size = 3 * PAGE
    ground = Image.new("RGB", (3, 3))
    base = np.array(colour(rng, 40, 216))
    ground.putdata([tuple(int(each) for each in base + rng.integers(-40, 40, 3)) for _ in range(9)])
    page = ground.resize((size, size), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(page)
    whole = rng.uniform(0.04, 0.14) * size * size  # the area of all things together is no hint at their number
    for middle, radius in _places(
        [(whole / count * rng.uniform(0.6, 1.5) / 3.0) ** 0.5 for _ in range(count)], size, rng
    ):
        ink = base
        while np.abs(ink - base).sum() < 150:
            ink = np.array(colour(rng))
        _thing(draw, middle, radius, tuple(int(each) for each in ink), rng)
    small = np.asarray(page.resize((PAGE, PAGE), Image.Resampling.BOX)).astype(np.int64)
    return (small + rng.integers(-12, 13, small.shape)).clip(0, 255).astype(np.uint8)


def _places(radii: list[float], size: int, rng: np.random.Generator) -> list[tuple[tuple[float, float], float]]:
    """Return a place for each radius so that no two things touch; shrink all where there is no room."""
    found: list[tuple[tuple[float, float], float]] = []
    tries = 0
    while len(found) < len(radii):
        radius = radii[len(found)]
        x, y = rng.uniform(radius, size - radius, 2)
        if all((x - a) ** 2 + (y - b) ** 2 > (radius + other + 9) ** 2 for (a, b), other in found):
            found.append(((float(x), float(y)), radius))
        tries += 1
        if tries % 500 == 0:
            found, radii = [], [0.9 * each for each in radii]
    return found


def _thing(draw: ImageDraw.ImageDraw, middle: tuple[float, float], radius: float, ink: tuple[int, ...],
           rng: np.random.Generator) -> None:  # fmt: skip
    """Draw a disc, a polygon or a star."""
    corners = int(rng.integers(2, 8))
    if corners == 2:
        draw.ellipse([middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius], ink)
        return
    star = corners > 4 and rng.random() < 0.5
    turn, steps = rng.uniform(0, 6.28), corners * (2 if star else 1)
    angles = turn + 6.283185 * np.arange(steps) / steps
    lengths = np.where(np.arange(steps) % 2 & star, 0.45, 1.0) * radius
    points = np.stack([middle[0] + lengths * np.cos(angles), middle[1] + lengths * np.sin(angles)], 1)
    draw.polygon([(float(x), float(y)) for x, y in points], ink)
