"""Tasks of drawings: clip art, and the emoji of three hands."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.zoo.canvas import inked, large_allowed, rasterised, square
from benchmarks.zoo.fetch import unpacked
from benchmarks.zoo.folder import Picture
from benchmarks.zoo.sources import CLIPART, NOTO, OPENMOJI, TWEMOJI

SUBJECTS = {  # folder of clip art -> class; the longest that a drawing lies in counts, and "" leaves it out
    "animals": "animal",
    "buildings": "building",
    "buildings/furniture": "",
    "computer": "computer",
    "computer/buttons": "",
    "computer/diagrams": "",
    "computer/folders": "",
    "computer/games": "",
    "computer/icons": "",
    "food": "food",
    "geography": "map",
    "geography/astronomy": "",
    "office": "office",
    "people": "person",
    "people/bodypart": "",
    "people/clothing": "clothing",
    "people/smilies": "",
    "plants": "plant",
    "recreation/music": "music",
    "recreation/sports": "sport",
    "signs_and_symbols/flags": "flag",
    "tools": "tool",
    "transportation": "vehicle",
    "transportation/aiga-symbols": "",
    "transportation/roadsigns": "road sign",
}
MOST, PAGE = 300, 320  # drawings of a class; pixels of a page that a drawing is on
CATEGORIES = {
    "Activities": "activity",
    "Animals Nature": "animal or plant",
    "Food Drink": "food",
    "Objects": "object",
    "People Body": "person",
    "Smileys Emotion": "emotion",
    "Symbols": "symbol",
    "Travel Places": "travel",
}


def clipart(packages: Path) -> Iterator[Picture]:
    """Yield drawings by subject; variants of one drawing by one hand, as their names tell, are a group."""
    root = unpacked(CLIPART, packages) / "usr/share/openclipart/svg"
    count: dict[str, int] = {}
    for path in sorted(root.rglob("*.svg")):
        place = path.relative_to(root).parent
        subjects = [SUBJECTS[folder.as_posix()] for folder in (place, *place.parents) if folder.as_posix() in SUBJECTS]
        subject = subjects[0] if subjects else ""
        if not subject or count.get(subject, 0) == MOST:
            continue
        try:
            with large_allowed():
                drawing = inked(rasterised(path.read_text(encoding="utf-8"), PAGE))
        except ValueError:  # not a drawing by the standard
            continue
        if drawing is not None and min(drawing.size) >= PAGE // 32:
            count[subject] = count.get(subject, 0) + 1
            yield Picture(np.asarray(square(drawing, 192)), subject, _stem(path.stem))


def _stem(name: str) -> str:
    """Return a name without its numbers and the words for a variant."""
    words = [word for word in re.split(r"[^a-z]+", name.lower()) if word not in ("", "bw", "r", "black", "outline")]
    return " ".join(words[:2]) or name


def emoji(packages: Path) -> Iterator[Picture]:
    """Yield emoji of three sets by category, in one colour of skin; one thing, drawn by all, is a group."""
    for package in (NOTO, OPENMOJI, TWEMOJI):
        root = unpacked(package, packages) / "package"
        icons = json.loads((root / "icons.json").read_text(encoding="utf-8"))
        categories = json.loads((root / "metadata.json").read_text(encoding="utf-8"))["categories"]
        for category, names in sorted(categories.items()):
            label = CATEGORIES.get(category.replace(" &", ""), "")
            for name in sorted(names) if label else ():
                if "skin-tone" not in name:
                    image = rasterised(_whole(icons, name), 128)
                    yield Picture(np.asarray(square(image, 128)), label, _thing(name))


def _whole(icons: dict, name: str) -> str:
    icon = icons["icons"][name]
    width, height = (icon.get(side, icons.get(side, 16)) for side in ("width", "height"))
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">{icon["body"]}</svg>'


def _thing(name: str) -> str:
    """Return the name of an emoji, whoever does it or is it: a man, a woman or a person."""
    words = [word for word in name.split("-") if word not in ("man", "men", "woman", "women", "person", "people")]
    return "-".join(words) or "person"
