"""The summary of a prepared data set, as in results/data/summary.json, and in sentences."""

from collections.abc import Mapping

from pipeline.common.documents import Document

SUMMARY, EXCLUDED = "summary.json", "excluded.csv"  # the latter lists every image that was left out
LISTED = 20  # images left out that the summary lists

HANDLED = {
    "animated": "the first frame is used", "CMYK": "converted to RGB", "16 bit": "scaled to 8 bits",
    "palette": "converted to RGB or grey", "alpha": "put on a white background",
    "rotated": "turned upright by the EXIF tag", "extension": "another format than the name says; read by content",
}  # fmt: skip


class ExcludedImages(Document):
    """What was left out of a data set."""

    kinds: dict[str, int]  # images by reason
    first: tuple[tuple[str, str], ...]  # path and reason of some


class DatasetSummary(Document):
    """A data set, identified by its digest, and the numbers of its images."""

    name: str
    digest: str
    classes: tuple[str, ...]
    counts: dict[str, dict[str, int]]  # images by split (train, valid, test) and class
    images: int
    duplicates: int
    channels: int
    excluded: ExcludedImages
    marks: dict[str, int]  # converted images, by what was special about them
    notes: tuple[str, ...]  # sentences on how the images were packed and split
    licence: str = ""  # as a file beside the images states it; empty where there is none


def notes_on(dataset: DatasetSummary) -> list[str]:
    """Describe in sentences what was left out of a data set, what was converted, and how it was packed and split."""
    kinds, marks = dataset.excluded.kinds, dataset.marks
    return [
        *([f"Left out: {left_out(kinds)}; results/data/{EXCLUDED} lists them."] if kinds else []),
        *([f"Converted: {handled(marks)}."] if marks else []),
        *dataset.notes,
    ]


def handled(marks: Mapping[str, int]) -> str:
    """Count the images that were converted, and say how: 2 CMYK (converted to RGB)."""
    return "; ".join(f"{count:,} {mark} ({HANDLED.get(mark, mark)})" for mark, count in marks.items())


def left_out(kinds: Mapping[str, int]) -> str:
    """Count the images that were left out, by reason: 3 image(s) (cannot be used: 2; no label: 1)."""
    return f"{sum(kinds.values()):,} image(s) ({'; '.join(f'{kind}: {count:,}' for kind, count in kinds.items())})"
