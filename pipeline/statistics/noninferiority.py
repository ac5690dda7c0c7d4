"""Two networks on the same images: their difference, paired, and whether the first is not worse by a margin."""

import numpy as np

from pipeline.common.documents import Document
from pipeline.config.metric_names import LOWER_IS_BETTER
from pipeline.statistics.intervals import difference_interval, estimate
from pipeline.statistics.jackknife import InfluenceTable, influence_tables_of


class PairedDifference(Document):
    """A metric of network a minus that of network b on the same images."""

    metric: str
    images: int
    a: float
    b: float
    difference: float
    ci: tuple[float, float]
    gain: float  # the difference, its sign such that more is better
    worst: float  # the lower one-sided bound of the gain


def paired_differences(labels: np.ndarray, a: np.ndarray, b: np.ndarray, confidence: float) -> list[PairedDifference]:
    """Return every metric's difference for labels (N,) and the probabilities (N, C) that two networks give.

    Other images may come, other seeds not: these two networks are what would be in service. Two networks that decide
    alike on every image have no scatter, and so no interval.
    """
    tables = [influence_tables_of(labels, probabilities[None]) for probabilities in (a, b)]
    return [_difference(metric, tables[0][metric], tables[1][metric], confidence) for metric in tables[0]]


def _difference(metric: str, a: InfluenceTable, b: InfluenceTable, confidence: float) -> PairedDifference:
    estimated = estimate(a - b)
    low, high = difference_interval(estimated, confidence)
    sign = -1 if metric in LOWER_IS_BETTER else 1
    gain = sign * float(estimated.mean)
    return PairedDifference(
        metric=metric,
        images=estimated.images,
        a=float(a.scores.mean()),
        b=float(b.scores.mean()),
        difference=float(estimated.mean),
        ci=(float(low), float(high)),
        gain=gain,
        worst=gain - float(estimated.quantile(confidence) * estimated.error),
    )


def is_not_worse(found: PairedDifference, margin: float) -> bool:
    """Say whether a gain is shown to be above -margin (a one-sided test of non-inferiority)."""
    return found.worst >= -margin
