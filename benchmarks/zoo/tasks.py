"""The tasks of the zoo: what each is, what it is made from, and which half it is in."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from benchmarks.zoo import sources
from benchmarks.zoo.sources import Package

DISTANCES = ("near", "middle", "far")  # from ImageNet: photographs; drawings and unusual photographs; all else
HALVES = ("choose", "report")


class Task(NamedTuple):
    """A labelled set of images that is built to the bit.

    `builder` is the module and function that yields its pictures, which come from `packages`; `needs` is the command
    that installs what else a build takes. Tasks of one `family` share images; images that share a thing of
    `grouped_by` are a group. `sha256` is the checksum of the built folder.
    """

    name: str
    distance: str
    images: int
    classes: int
    side: int
    builder: str
    about: str
    licence: str
    sha256: str
    packages: tuple[Package, ...] = ()
    needs: str = ""
    family: str = ""
    grouped_by: str = ""


def halves(tasks: Iterable[Task]) -> dict[str, str]:
    """Return the half of each task.

    Within each distance, families go one by one, those of most tasks first and then by the first of their names, to the
    half with fewer tasks so far, or to "choose" where both have as many. So no image is in both halves.
    """
    found = {}
    for distance in DISTANCES:
        families = defaultdict(list)
        for task in tasks:
            if task.distance == distance:
                families[task.family or task.name].append(task.name)
        sizes = dict.fromkeys(HALVES, 0)
        for names in sorted(families.values(), key=lambda names: (-len(names), min(names))):
            half = min(HALVES, key=sizes.__getitem__)
            sizes[half] += len(names)
            found.update(dict.fromkeys(names, half))
    return found


TASKS = (
    Task("damaged", "near", 758, 9, 64, "photos.damaged",
         "what was done to a patch of a photograph: blur, noise, compression ...",
         "GPL-2",
         "498736329a47ff7e8e74ad838722adee97b21f30a69fe39872934f3a229b76f6",
         packages=(sources.STAMPS,), family="stamps", grouped_by="photograph"),
    Task("stamps", "near", 289, 12, 160, "photos.stamps",
         "what a cut-out photograph shows: bird, fruit, vehicle ...",
         "GPL-2",
         "355832a5e96289a5a3a82eadeb193204bf0c2d8c25ebf7facd1cb7606b34fd71",
         packages=(sources.STAMPS,), family="stamps"),
    Task("crowns", "near", 1266, 3, 64, "photos.crowns",
         "how many crowns of trees a window of an aerial photograph has: none, one, more",
         "MIT",
         "23d984e6d7638307e0e5bbfcdddf656281f226eed8e5ddde4d21e081350ddfec",
         packages=(sources.TREES,), grouped_by="block of windows"),
    Task("furniture", "near", 672, 10, 128, "photos.furniture",
         "which room a thing belongs to, by a rendering like a photograph",
         "CC BY 3.0 (a part CC0)",
         "12e0dbb5eeb9d6955e9c1d19c5b89dc9bb4c434e9f5d8cf9125adeac7fb3e888",
         packages=(sources.FURNITURE,), grouped_by="name of the thing"),
    Task("grades", "middle", 2624, 4, 300, "cells.grades",
         "how likely experts held a defect of a solar cell to be",
         "CC BY-NC-SA 4.0 (non-commercial)",
         "e5704d333678514ef11bc3733fa42ebae85e0cb305f64445010a893be276d1de",
         needs="uv sync --group demo", family="demo"),
    Task("wafers", "middle", 2624, 2, 128, "cells.wafers",
         "whether a solar cell is of one crystal or of many, by its middle",
         "CC BY-NC-SA 4.0 (non-commercial)",
         "26696e59c112455270f6a1e116992998a0b1f017c5ec507dc83c5dfe7635faac",
         needs="uv sync --group demo", family="demo"),
    Task("chess", "middle", 1632, 12, 96, "boards.chess",
         "colour and kind of a chess piece on its square, over sets of pieces",
         "GPL-3+",
         "0b829b36a0feec70a1b6217340899607ad9b3fc21f71fc07058e1298b023de84",
         packages=(sources.CHESS,), needs="uv sync --group zoo", grouped_by="set of pieces"),
    Task("clipart", "middle", 1984, 15, 192, "drawings.clipart",
         "the subject of a drawing",
         "public domain",
         "4c2734c037a8e2e3979bd8979198770799f113e59c2f040d8e03836923692dad",
         packages=(sources.CLIPART,), needs="uv sync --group zoo", grouped_by="drawing and its variants"),
    Task("emoji", "middle", 4946, 8, 128, "drawings.emoji",
         "the category of an emoji, drawn by three hands",
         "Apache-2.0 (Noto), CC BY-SA 4.0 (OpenMoji), CC BY 4.0 (Twemoji)",
         "45f3f1ee8f0ebff79c944fac2431f976235ef2876ed40b9fbdeaa5573a834742",
         packages=(sources.NOTO, sources.OPENMOJI, sources.TWEMOJI),
         needs="uv sync --group zoo", grouped_by="thing drawn"),
    Task("flags", "middle", 2000, 50, 64, "boards.flags",
         "the nation of a flag, waving, turned and partly hidden",
         "MIT",
         "e00c0a691ffc64d6ea5f99a6f905855f6c77390d75946843b2b4aa2ec3522cbd",
         packages=(sources.FLAGS,), needs="uv sync --group zoo"),
    Task("arabic", "far", 1008, 28, 48, "letters.arabic",
         "a letter, in its isolated form, over fonts",
         "GPL-2",
         "6b9e021a246c543b55ca184124d0dbb196e1a5a2437f7a0c1017494d10678ede",
         packages=(sources.ARABIC,), grouped_by="family of fonts"),
    Task("automata", "far", 1440, 24, 64, "patterns.automata",
         "the rule of an elementary cellular automaton, by a noisy pattern of it",
         "Apache-2.0 (this code)",
         "5ec5b04278f393f0d852dfd5c38531da7bdbd54bfdd5c70c3c7f78a7c26843f9"),
    Task("charts", "far", 1440, 16, 128, "charts.charts",
         "the kind of a chart: bars, pie, violins ...",
         "Apache-2.0 (this code)",
         "8f959a3bc44bacfdac75c86052f0d5f8d2f5fdfb7fb294bd088b487239da2652"),
    Task("counting", "far", 1350, 9, 96, "patterns.counting",
         "how many things there are on a page",
         "Apache-2.0 (this code)",
         "41778f853f666642f4f0ca79e85279802b2c604748dc557145c986be42a8e59e"),
    Task("digits", "far", 1797, 10, 8, "handwriting.digits",
         "a handwritten digit, of scikit-learn",
         "CC BY 4.0",
         "ef6f04cf6a8633b5a8c4c388368e1df69381e3d8bd650b087c4619c001dff93e"),
    Task("hebrew", "far", 2251, 27, 48, "letters.hebrew",
         "a letter or final form, over fonts",
         "GPL-2 (some with the font exception)",
         "625d36538f9738a274274b5ca6d316086658f0263af62a55e314f582b8aca449",
         packages=(sources.HEBREW, sources.HEBREW_FANCY), grouped_by="family of fonts"),
    Task("mnist", "far", 5000, 10, 28, "handwriting.mnist",
         "a handwritten digit, 5,000 of MNIST",
         "CC BY-SA 3.0",
         "2439af647d67c0f27c035038bff15fc98619edd8cb1b8cd3c3b26548e027bffa",
         packages=(sources.MNIST,)),
    Task("textures", "far", 1200, 12, 64, "textures.textures",
         "the kind of a surface: bricks, marble, weave ...",
         "Apache-2.0 (this code)",
         "e1f885dc702fee3e83829d1ae411ae48084177ed4475e53d87e7c0364aa64f24"),
)  # fmt: skip
