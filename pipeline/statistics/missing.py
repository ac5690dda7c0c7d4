"""Why trainings of a strategy are missing: the race stopped it, or their loss diverged."""

from pipeline.common.documents import Document


class Stopped(Document):
    """Why a strategy got no more seeds and sizes than the minimum: the race found it behind beyond doubt."""

    behind: str  # the strategy it is compared with
    gap: float  # by how much it is worse on validation, in the metric that decides; above 0
    p_within: float  # the probability that it is within `worth` of that strategy
    level: float  # the probability below which the race stops a strategy, corrected for all comparisons
    seeds: int  # by which that was decided


class Diverged(Document):
    """A training whose loss was no longer finite; the strategy goes on with its others."""

    seed: int
    fraction: float
    reason: str
