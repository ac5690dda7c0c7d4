"""Tasks of drawings put into scenes by code: chess pieces on their squares, and flags in the wind."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from benchmarks.zoo.canvas import colour, rasterised
from benchmarks.zoo.fetch import unpacked
from benchmarks.zoo.folder import Picture
from benchmarks.zoo.sources import CHESS, FLAGS
from pipeline.common.seeding import derive

COLOURS = {"b": "black", "w": "white"}
PIECES = {"k": "king", "q": "queen", "r": "rook", "b": "bishop", "n": "knight", "p": "pawn"}
OTHER_GAMES = {"makruk", "sittuyin"}  # sets of Thai and Burmese chess: their pieces are no kings and queens
SQUARE, VIEWS = 96, 8  # side of a square in pixels; images of a piece of a set
NATIONS = ("ad", "ar", "at", "au", "ba", "be", "bg", "br", "ca", "ch", "ci", "cl", "co", "cz", "de", "dk", "ec", "ee",
           "es", "fi", "fr", "gb", "gr", "hr", "hu", "ie", "il", "in", "is", "it", "jp", "ke", "kr", "lu", "md", "mx",
           "nl", "no", "nz", "pl", "pt", "ro", "rs", "se", "si", "sk", "th", "tr", "us", "za")  # fmt: skip
SIDE, SCENES = 64, 40  # side of a scene with a flag; scenes of a flag


def chess(packages: Path) -> Iterator[Picture]:
    """Yield pieces on light and dark squares by colour and kind; a set of pieces is a group."""
    root = unpacked(CHESS, packages) / "usr/share/pychess/pieces"
    for folder in sorted(root.iterdir()):
        for path in sorted(folder.glob("[bw][kqrbnp].svg")) if folder.name not in OTHER_GAMES else ():
            rng = np.random.default_rng(derive("chess", folder.name, path.stem))
            piece = rasterised(path.read_text(encoding="utf-8"), 2 * SQUARE)
            label = f"{COLOURS[path.stem[0]]} {PIECES[path.stem[1]]}"
            for view in range(VIEWS):
                yield Picture(_on_square(piece, view % 2 == 0, rng), label, folder.name)


def _on_square(piece: Image.Image, light: bool, rng: np.random.Generator) -> np.ndarray:
    """Return a piece on its square with slivers of the squares beside it, all slightly moved, turned and scaled."""
    pair = colour(rng, 160, 256), colour(rng, 50, 150)
    here, there = pair if light else pair[::-1]
    scene = Image.new("RGB", (3 * SQUARE, 3 * SQUARE), there)
    for left, top in ((0, 0), (2, 0), (1, 1), (0, 2), (2, 2)):
        scene.paste(here, (left * SQUARE, top * SQUARE, (left + 1) * SQUARE, (top + 1) * SQUARE))
    side = int(rng.integers(70, 97))
    turned = piece.rotate(int(rng.integers(-12, 13)), Image.Resampling.BICUBIC, expand=True)
    turned = turned.resize((side, max(1, side * turned.height // turned.width)), Image.Resampling.LANCZOS)
    shift = rng.integers(-8, 9, 4)
    middle = 3 * SQUARE // 2
    scene.paste(
        turned, (middle - turned.width // 2 + int(shift[0]), middle - turned.height // 2 + int(shift[1])), turned
    )
    left, top = SQUARE + int(shift[2]), SQUARE + int(shift[3])
    return np.asarray(scene.crop((left, top, left + SQUARE, top + SQUARE)))


def flags(packages: Path) -> Iterator[Picture]:
    """Yield scenes with the flag of one of fifty nations, by nation."""
    root = unpacked(FLAGS, packages) / "package"
    icons = json.loads((root / "icons.json").read_text(encoding="utf-8"))["icons"]
    for nation in NATIONS:
        icon = icons[f"{nation}-4x3"]
        box = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {icon.get("width", 512)} {icon.get("height", 512)}">'
        )
        cloth = np.asarray(rasterised(f"{box}{icon['body']}</svg>", 256).convert("RGB"))
        rng = np.random.default_rng(derive("flags", nation))
        for _ in range(SCENES):
            yield Picture(_in_the_wind(cloth, rng), nation)


def _in_the_wind(cloth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return (64, 64, 3): a flag turned, waving, lit from one side, partly hidden, before a ground of two colours."""
    size = 4 * SIDE
    ground = Image.new("RGB", (2, 2))
    ground.putdata([colour(rng) for _ in range(4)])
    scene = np.asarray(ground.resize((size, size), Image.Resampling.BICUBIC)).astype(np.int64)
    height, width = cloth.shape[:2]
    angle, scale = rng.uniform(-0.5, 0.5), rng.uniform(0.55, 1.3)
    down, right = np.mgrid[:size, :size] - size / 2 + rng.uniform(-40, 40, (2, 1, 1)) + 0.37
    x = (right * np.cos(angle) + down * np.sin(angle)) * scale + width / 2
    phase, waves = rng.uniform(0, 6.28), rng.uniform(0.5, 2.5)
    bend = np.sin(phase + waves * 6.2832 * x / width)
    y = (down * np.cos(angle) - right * np.sin(angle)) * scale + height / 2 + rng.uniform(4, 22) * bend
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    light = 100 + np.rint(rng.uniform(5, 40) * np.cos(phase + waves * 6.2832 * x / width)).astype(np.int64)
    colours = cloth[np.clip(y, 0, height - 1).astype(np.int64), np.clip(x, 0, width - 1).astype(np.int64)]
    scene = np.where(inside[..., None], colours * light[..., None] // 110, scene).clip(0, 255)
    left, top = rng.integers(0, size - 40, 2)
    scene[top : top + rng.integers(20, 90), left : left + rng.integers(20, 90)] = colour(rng)
    small = Image.fromarray(scene.astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.BOX)
    small = small.filter(ImageFilter.GaussianBlur(int(rng.integers(0, 13)) / 10))
    tint = rng.integers(60, 111, 3)
    noise = rng.integers(-24, 25, (SIDE, SIDE, 3)) * int(rng.integers(0, 3)) // 2
    return (np.asarray(small).astype(np.int64) * tint // 100 + noise).clip(0, 255).astype(np.uint8)
