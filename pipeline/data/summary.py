"""What a prepared data set looks like, as results/data/summary.json has it, and in sentences."""

from collections.abc import Mapping

from pipeline.common.documents import Document

EXCLUDED = "excluded.csv"  # in the data report's folder: every image that was left out
LISTED = 20  # of them, in the summary

HANDLED = {
    "animated": "of an animated file the first picture is used", "CMYK": "CMYK is turned into RGB",
    "16 bit": "16 bits are scaled to 8", "palette": "a palette is turned into its colours",
    "alpha": "what is transparent is laid on white", "rotated": "turned upright as the EXIF tag says",
    "extension": "the content is of another format than the name says, and is read as what it is",
}  # fmt: skip


class ExcludedImages(Document):
    """What was left out of a data set."""

    kinds: dict[str, int]  # images by reason
    first: tuple[tuple[str, str], ...]  # path and reason of some


class DatasetSummary(Document):
    """Name a data set by its digest, and count its images."""

    name: str
    digest: str
    classes: tuple[str, ...]
    counts: dict[str, dict[str, int]]  # images by split (train, valid, test) and class
    images: int
    duplicates: int
    channels: int
    excluded: ExcludedImages
    marks: dict[str, int]  # images that were not taken as they are, by what was done
    notes: tuple[str, ...]  # on how the splits came about


def notes_on(dataset: DatasetSummary) -> list[str]:
    """Return what was left out of a data set, what was not taken as it is, and how it was split, in sentences."""
    kinds, marks = dataset.excluded.kinds, dataset.marks
    return [
        *([f"Left out: {left_out(kinds)}; results/data/{EXCLUDED} lists them."] if kinds else []),
        *([f"Not taken as they are: {handled(marks)}."] if marks else []),
        *dataset.notes,
    ]


def handled(marks: Mapping[str, int]) -> str:
    """Return how many images were not taken as they are, and what was done: 2 CMYK (CMYK is turned into RGB)."""
    return "; ".join(f"{count:,} {mark} ({HANDLED.get(mark, mark)})" for mark, count in marks.items())


def left_out(kinds: Mapping[str, int]) -> str:
    """Return how many images are left out, and why: 3 image(s) (cannot be used: 2; no label: 1)."""
    return f"{sum(kinds.values()):,} image(s) ({'; '.join(f'{kind}: {count:,}' for kind, count in kinds.items())})"
