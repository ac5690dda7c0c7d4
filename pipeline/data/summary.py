"""What a prepared data set looks like, as results/data/summary.json has it."""

from pipeline.common.documents import Document


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
