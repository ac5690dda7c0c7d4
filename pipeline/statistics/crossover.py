"""Learning curves over the number of training images: their fitted law and band, and where two of them cross.

The interval of a crossing contains the sizes at which the interval of the two strategies' difference contains zero (as
Fieller's does): such a set covers the true crossing as often as the interval of the difference covers zero.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.special import ndtri

from pipeline.config.metric_names import LOWER_IS_BETTER
from pipeline.statistics.power_law import Law, Points, likeliest, posterior
from pipeline.statistics.schema import Crossover

REACH = 10  # times all images: how far curves are extrapolated
_BEYOND = 4  # times REACH: how far the upper end of an interval may lie
_GRID = 112  # sizes at which two curves are compared, evenly in log n
_FLOOR = 1e-3  # the least standard deviation of a point: draws of perfect scores have none
_FEWEST_DRAWS = 20


def fit(sizes: np.ndarray, draws: np.ndarray, metric: str) -> Law | None:
    """Return the likeliest law of the error, from draws (B, F) of a strategy's score at F ascending sizes.

    The error is 1 - score, or the score where lower is better. None with fewer than two sizes or 20 draws.
    """
    points = _points(sizes, [draws], metric)
    return None if points is None else likeliest(points)


def band(
    sizes: np.ndarray, draws: np.ndarray, grid: np.ndarray, metric: str, confidence: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return low, middle and high score (G,) at each of G numbers of images, from the fewest measured up.

    Draws (B, F) are of the score at F ascending sizes. None with fewer than two sizes or 20 draws.
    """
    points = _points(sizes, [draws], metric)
    if points is None:
        return None
    mixture = posterior(points, np.asarray(grid, dtype=np.float64))
    low, middle, high = (np.maximum(mixture.quantile(q), 0) for q in ((1 - confidence) / 2, 0.5, (1 + confidence) / 2))
    return (low, middle, high) if metric in LOWER_IS_BETTER else (1 - high, 1 - middle, 1 - low)


def crossover(
    a: str, b: str, sizes: np.ndarray, draws_a: np.ndarray, draws_b: np.ndarray, metric: str, confidence: float
) -> Crossover:
    """Return where the curves of two strategies cross, from paired draws (B, F) of their scores at F ascending sizes.

    `outcome` is "inside" the measured range; "beyond" it, within REACH times all images; "never", where the one behind
    with all images stays significantly worse up to REACH times as many; or "unclear". `ci` reaches from a size at which
    one is significantly better to a size at which the other is. The order of the two does not matter.
    """
    if b < a:
        a, b, draws_a, draws_b = b, a, draws_b, draws_a
    unclear = Crossover(
        a=a, b=b, outcome="unclear", leader=None, overtaker=None, images=None, ci=None, crossings=0, not_before=None
    )
    points = _points(sizes, [draws_a, draws_b], metric)
    if points is None:
        return unclear
    full = float(points.sizes[-1])
    grid = np.unique(np.append(np.geomspace(points.sizes[0], full * REACH * _BEYOND, _GRID), [full, full * REACH]))
    chance = posterior(points, grid).below(0)  # that a is better
    leader = _leader(a, b, draws_a[:, -1] - draws_b[:, -1], metric, confidence)
    found: dict[str, Any] = {"leader": leader}
    crossings = [c for c in _crossings(grid, chance, confidence) if c.most_below(full * REACH)]
    if crossings:
        nearest = min(crossings, key=lambda c: abs(np.log(c.images / full)))
        found |= {
            "outcome": "inside" if nearest.images <= full else "beyond",
            "overtaker": b if nearest.a_first else a,
            "images": nearest.images,
            "ci": (nearest.low, nearest.high),
            "crossings": len(crossings),
        }
    elif leader is not None:
        until = _lead(grid, chance if leader == a else 1 - chance, full, confidence)
        never = until is not None and until > full * REACH
        found |= {"outcome": "never"} if never else {"not_before": until}
    return unclear.model_copy(update=found)


def _points(sizes: np.ndarray, draws: list[np.ndarray], metric: str) -> Points | None:
    """Return the mean errors and their covariance over paired draws, leaving out scores that are not finite."""
    scores = np.stack(draws, 1)  # (B, K, F)
    scores = scores[np.isfinite(scores).all((1, 2))]
    if len(sizes) < 2 or len(scores) < _FEWEST_DRAWS:
        return None
    errors = scores if metric in LOWER_IS_BETTER else 1 - scores
    rows = errors.reshape(len(errors), -1)
    covariance = np.cov(rows, rowvar=False) + np.eye(rows.shape[1]) * _FLOOR**2
    return Points(np.asarray(sizes, dtype=np.float64), errors.mean(0), covariance)


def _leader(a: str, b: str, differences: np.ndarray, metric: str, confidence: float) -> str | None:
    """Return the strategy that is significantly better with all images, or None."""
    known = differences[np.isfinite(differences)] * (-1 if metric in LOWER_IS_BETTER else 1)
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return a if low > 0 else b if high < 0 else None


def _lead(grid: np.ndarray, chance: np.ndarray, full: float, confidence: float) -> float | None:
    """Return the number of images up to which the leader stays significantly better; infinity: no end was found."""
    level, chance, sizes = (1 + confidence) / 2, chance[grid >= full], grid[grid >= full]
    if chance[0] <= level:
        return None
    return _reached(sizes, chance, level) if (chance <= level).any() else float("inf")


@dataclass(frozen=True)
class _Crossing:
    low: float  # images
    images: float
    high: float
    a_first: bool  # a is the better one before it

    def most_below(self, limit: float) -> bool:
        """Return whether it lies below the limit, and so does most of its interval, in log n."""
        return self.images <= limit and self.low * self.high <= limit**2


def _crossings(grid: np.ndarray, chance: np.ndarray, confidence: float) -> list[_Crossing]:
    """Return every interval from a size where one strategy is significantly better to the next where the other is."""
    high = (1 + confidence) / 2
    known = np.flatnonzero((chance > high) | (chance < 1 - high))
    found = []
    for i, j in pairwise(known):
        a_first = bool(chance[i] > 0.5)
        if a_first != bool(chance[j] > 0.5):
            fall = (chance if a_first else 1 - chance)[i : j + 1]  # the first one's chance, from high to 1 - high
            low, middle, last = (_reached(grid[i : j + 1], fall, level) for level in (high, 0.5, 1 - high))
            found.append(_Crossing(low, middle, last, a_first))
    return found


def _reached(sizes: np.ndarray, chance: np.ndarray, level: float) -> float:
    """Return the size at which a chance first falls to a level that lies between its ends."""
    after = int(np.argmax(chance <= level))
    x, y = np.log(sizes[after - 1 : after + 1]), ndtri(np.clip(chance[after - 1 : after + 1], 1e-15, 1 - 1e-15))
    return float(np.exp(x[0] + (x[1] - x[0]) * (y[0] - ndtri(level)) / (y[0] - y[1])))
