"""Tasks of letters: two scripts that run from right to left, over the fonts of a package each."""

import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.zoo.fetch import unpacked
from benchmarks.zoo.folder import Picture
from benchmarks.zoo.sources import ARABIC, HEBREW, HEBREW_FANCY, Package

SIZE = 48  # pixels of an image's side
STYLES = ("Oblique", "Italic", "Bold", "Medium", "Regular", "Light", "Book", "Heavy", "Demi")
HEBREW_LETTERS = range(0x05D0, 0x05EB)
ARABIC_LETTERS = (0x0627, 0x0628, *range(0x062A, 0x063B), *range(0x0641, 0x0649), 0x064A)


def hebrew(packages: Path) -> Iterator[Picture]:
    """Yield the 22 letters and the five final forms in many fonts; a family of fonts is a group."""
    return _letters((HEBREW, HEBREW_FANCY), HEBREW_LETTERS, packages)


def arabic(packages: Path) -> Iterator[Picture]:
    """Yield the 28 letters in their isolated forms in many fonts; a family of fonts is a group."""
    return _letters((ARABIC,), ARABIC_LETTERS, packages)


def _letters(sources: tuple[Package, ...], codes: Iterable[int], packages: Path) -> Iterator[Picture]:
    for source in sources:
        root = unpacked(source, packages) / "usr/share/fonts"
        for path in sorted(path for path in root.rglob("*") if path.suffix in (".ttf", ".otf", ".pfa")):
            for code, pixels in _alphabet(path, codes).items():
                yield Picture(pixels, unicodedata.name(chr(code)).split(" LETTER ")[1].lower(), family(path.stem))


def family(name: str) -> str:
    """Return the name of a font's family, without its styles."""
    for style in STYLES:
        name = name.replace(style, "")
    return name.strip("-_ ")


def _alphabet(path: Path, codes: Iterable[int]) -> dict[int, np.ndarray]:
    """Return the letters that a font has, (SIZE, SIZE) each, black on white, on one line and to one scale."""
    font = ImageFont.truetype(str(path), 2 * SIZE, layout_engine=ImageFont.Layout.BASIC)
    missing = _page(font, "\uffff").tobytes()
    pages = {code: _page(font, chr(code)) for code in codes}
    pages = {code: page for code, page in pages.items() if page.getbbox() and page.tobytes() != missing}
    boxes = np.array([page.getbbox() for page in pages.values()]).reshape(-1, 4)
    if not len(boxes):
        return {}
    top, bottom = int(boxes[:, 1].min()), int(boxes[:, 3].max())
    side = max(bottom - top, int((boxes[:, 2] - boxes[:, 0]).max()))
    side += side // 8
    out = {}
    for (code, page), (left, _, right, _) in zip(pages.items(), boxes):
        middle, level = int(left + right) // 2, (top + bottom) // 2
        ink = page.crop((middle - side // 2, level - side // 2, middle - side // 2 + side, level - side // 2 + side))
        out[code] = 255 - np.asarray(ink.resize((SIZE, SIZE), Image.Resampling.BOX))
    return out


def _page(font: ImageFont.FreeTypeFont, letter: str) -> Image.Image:
    page = Image.new("L", (8 * SIZE, 8 * SIZE))
    ImageDraw.Draw(page).text((3 * SIZE, 3 * SIZE), letter, 255, font)
    return page
