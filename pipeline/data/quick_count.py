"""How many images a folder holds, by split and of what kind: by names and tables, and the headers of some files."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.common.errors import UserError
from pipeline.config.params import Params
from pipeline.data import readers
from pipeline.data.image_files import ImageFiles
from pipeline.data.packed_size import packed_size, spread
from pipeline.inference.decoding import is_grey, opened

SAMPLED = 100  # files whose headers say whether they are grey


@dataclass(frozen=True)
class CountedImages:
    """A folder's images, before any is decoded; a few that cannot be used may be among them."""

    train: int
    valid: int
    test: int
    classes: int
    channels: int  # 1 where all that were looked at are grey
    side: int  # in pixels, that they are packed at

    @property
    def images(self) -> int:
        """Return how many there are."""
        return self.train + self.valid + self.test

    def at(self, images: int) -> "CountedImages":
        """Return the same with so many images in all, split alike."""
        test, valid = (round(images * part / self.images) for part in (self.test, self.valid))
        return CountedImages(images - test - valid, valid, test, self.classes, self.channels, self.side)


def quick_count(root: Path, settings: Params) -> CountedImages:
    """Count a folder's images; raise UserError where no reader knows it, or it has nothing to learn.

    The column to learn is `data.label` if the folder has it, else `label`. A split that is not the user's is as
    `prepare` would draw it.
    """
    wanted, table = settings.prepare, readers.read(root)
    label = next((name for name in (settings.data.label, "label") if name in table), None)
    classes = 0 if label is None else int(table[label].nunique())
    if label is None or classes < 2:
        found = f"columns {', '.join(map(str, table))}" if label is None else f"one value in column {label!r}"
        raise UserError(f"{root}: expected a column {settings.data.label!r} with two classes or more, found {found}; "
                        "set data.label")  # fmt: skip
    images = min(len(table), wanted.max_images or len(table))
    share = float((table["split"] == "test").mean()) if "split" in table else wanted.test_fraction
    test = round(images * share)
    valid = round((images - test) * wanted.valid_fraction)
    paths = list(table["path"])
    side = packed_size(root, paths, wanted, settings.largest_image_size).side
    return CountedImages(images - test - valid, valid, test, classes, _channels(root, paths, wanted.max_pixels), side)


def _channels(root: Path, paths: list[str], max_pixels: int) -> int:
    with ImageFiles(root) as files:
        for path in spread(paths, SAMPLED):
            with suppress(ValueError), opened(files.read(path), max_pixels) as image:
                if not is_grey(image):
                    return 3
    return 1
