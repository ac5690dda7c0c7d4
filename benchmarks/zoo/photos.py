"""Tasks of photographs: cut-out objects, damaged patches of them, trees seen from the air; and rendered furniture."""

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from benchmarks.zoo.canvas import square
from benchmarks.zoo.damage import DAMAGES
from benchmarks.zoo.fetch import unpacked
from benchmarks.zoo.folder import Picture
from benchmarks.zoo.sources import FURNITURE, STAMPS, TREES
from pipeline.common.seeding import derive

KINDS = {  # folder of stamps -> class; the longest that a stamp lies in counts
    "animals/birds": "bird",
    "animals/fish": "sea animal",
    "animals/shellfish": "sea animal",
    "animals/mammals/aquatic": "sea animal",
    "animals/insects": "insect",
    "animals/mammals": "mammal",
    "animals/marsupials": "mammal",
    "food/fruit": "fruit",
    "food/vegetables": "vegetable",
    "hobbies/music": "instrument",
    "household": "household",
    "plants": "plant",
    "plants/flowers": "flower",
    "town/roadsigns": "sign",
    "vehicles": "vehicle",
    "military/vehicles": "vehicle",
}
DRAWN = {"cartoon", "toys", "plastic"}  # folders of stamps that are no photographs, or not of the thing itself
PATCHES, PATCH, DETAIL = 8, 64, 10.0  # damaged patches of a photograph, their side, least deviation of grey in them
ROOMS = {"Bathroom", "Bedroom", "Characters", "Doors and windows", "Exterior", "Kitchen", "Lights", "Living room",
         "Office", "Vehicles"}  # fmt: skip
WINDOW, BLOCK = 64, 4  # side of a window of the forest in pixels; of a block that is never parted, in windows


def stamps(packages: Path) -> Iterator[Picture]:
    """Yield cut-out photographs by what they show."""
    for path, kind in _stamps(packages):
        with Image.open(path) as image:
            yield Picture(np.asarray(square(image, 160, margin=4)), kind)


def _stamps(packages: Path) -> Iterator[tuple[Path, str]]:
    root = unpacked(STAMPS, packages) / "usr/share/tuxpaint/stamps"
    for path in sorted(root.rglob("*.png")):
        place = path.relative_to(root).parent
        if path.stem.endswith("_mirror") or DRAWN & set(place.parts):
            continue
        kinds = [KINDS[folder.as_posix()] for folder in (place, *place.parents) if folder.as_posix() in KINDS]
        if kinds:
            yield path, kinds[0]


def damaged(packages: Path) -> Iterator[Picture]:
    """Yield patches of photographs by what was done to them; those of one photograph are a group."""
    for path, kind in _stamps(packages):
        if kind == "sign":  # drawn: of few shades as it is
            continue
        rng = np.random.default_rng(derive("damaged", path.stem))
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGBA"))
        for patch in _patches(pixels, rng):
            name = sorted(DAMAGES)[rng.integers(len(DAMAGES))]
            yield Picture(DAMAGES[name](patch, rng), name, path.stem)


def _patches(pixels: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield patches that are opaque throughout and not flat, in places of no order."""
    solid = np.pad((pixels[..., 3] == 255).astype(np.int64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    area = solid[PATCH:, PATCH:] - solid[:-PATCH, PATCH:] - solid[PATCH:, :-PATCH] + solid[:-PATCH, :-PATCH]
    places = np.argwhere(area == PATCH * PATCH)
    found = 0
    for top, left in places[rng.permutation(len(places))[: 4 * PATCHES]]:
        patch = pixels[top : top + PATCH, left : left + PATCH, :3]
        if found < PATCHES and patch.mean(2).std() > DETAIL:
            found += 1
            yield patch


def furniture(packages: Path) -> Iterator[Picture]:
    """Yield renderings of things by the room they belong to; things of one name and maker are a group."""
    root = unpacked(FURNITURE, packages) / "usr/share/sweethome3d/furniture"
    for path in sorted(root.glob("*.sh3f")):
        with zipfile.ZipFile(path) as files:
            text = files.read("PluginFurnitureCatalog.properties").decode("latin1")
            entries = dict(re.findall(r"^([a-zA-Z]+#\d+)=(.*?)\s*$", text, re.M))
            for key, room in entries.items():
                kind, number = key.split("#")
                if kind == "category" and room in ROOMS:
                    icon = files.read(entries[f"icon#{number}"].lstrip("/"))
                    name = re.sub(r"[^a-z]+", " ", entries[f"name#{number}"].lower()).strip()
                    with Image.open(io.BytesIO(icon)) as image:
                        yield Picture(np.asarray(square(image, 128)), room.lower(), f"{path.stem} {name}")


def crowns(packages: Path) -> Iterator[Picture]:
    """Yield windows of aerial photographs by how many crowns of trees have their middle there: none, one or more.

    A window without a middle that some crown still reaches into is left out. Neighbouring windows are a group.
    """
    root = unpacked(TREES, packages) / "deepforest/data"
    for path in sorted(root.glob("*.xml")):
        boxes = [[float(box.findtext(side, "")) for side in ("xmin", "ymin", "xmax", "ymax")]
                 for box in ElementTree.parse(path).iter("bndbox")]  # fmt: skip
        with Image.open(path.with_suffix(".png")) as image:
            pixels = np.asarray(image.convert("RGB"))
        for row in range(pixels.shape[0] // WINDOW):
            for column in range(pixels.shape[1] // WINDOW):
                label = _crowns(np.array(boxes), WINDOW * column, WINDOW * row)
                if label:
                    window = pixels[WINDOW * row :, WINDOW * column :][:WINDOW, :WINDOW]
                    yield Picture(window, label, f"{path.stem} {row // BLOCK} {column // BLOCK}")


def _crowns(boxes: np.ndarray, left: int, top: int) -> str:
    low, high = np.array([left, top]), np.array([left, top]) + WINDOW
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    count = int(((middles >= low) & (middles < high)).all(1).sum())
    touched = bool(((boxes[:, 2:] > low) & (boxes[:, :2] < high)).all(1).any())
    return ("one crown" if count == 1 else "more crowns") if count else ("" if touched else "no crown")
