"""Learning curves over the number of training images: their law and band, and where two of them cross.

The sizes at which the better of two strategies cannot be told are those at which the interval of their difference holds
zero (as Fieller's does): such a set covers the true crossing as often as the interval of the difference covers zero.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.special import ndtri

from pipeline.config.metric_names import LOWER_IS_BETTER
from pipeline.statistics.power_law import Law, Points, likeliest, posterior

REACH = 10  # times the images there are: as far as anything is said
_BEYOND = 4  # times REACH: as far as the upper end of an interval may lie
_GRID = 112  # sizes at which two curves are compared, evenly in log n
_FLOOR = 1e-3  # a point's standard deviation at least: draws of perfect scores have none
_FEWEST_DRAWS = 20


def fit(sizes: np.ndarray, draws: np.ndarray, metric: str) -> Law | None:
    """Return the likeliest law of the error, from draws (B, F) of a strategy's score at F ascending sizes.

    The error is 1 - score, or the score where lower is better. None where there are not two sizes and 20 draws.
    """
    points = _points(sizes, [draws], metric)
    return None if points is None else likeliest(points)


def band(
    sizes: np.ndarray, draws: np.ndarray, grid: np.ndarray, metric: str, confidence: float = 0.95
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return low, middle and high score (G,) at each of G numbers of images, from the fewest measured up.

    Draws (B, F) are of the score at F ascending sizes. None where there are not two sizes and 20 draws.
    """
    points = _points(sizes, [draws], metric)
    if points is None:
        return None
    mixture = posterior(points, np.asarray(grid, dtype=np.float64))
    low, middle, high = (np.maximum(mixture.quantile(q), 0) for q in ((1 - confidence) / 2, 0.5, (1 + confidence) / 2))
    return (low, middle, high) if metric in LOWER_IS_BETTER else (1 - high, 1 - middle, 1 - low)


def crossover(
    a: str, b: str, sizes: np.ndarray, draws_a: np.ndarray, draws_b: np.ndarray, metric: str, confidence: float = 0.95
) -> dict[str, Any]:
    """Say where the curves of two strategies cross, from paired draws (B, F) of their scores at F ascending sizes.

    `outcome` is inside the measured range; beyond it, within REACH times the images; never: the one behind with all
    images is told behind up to REACH times as many; or unclear. `leader` is the one told better with all images.
    `not_before` is the least number of images at which the one behind may have caught up, where that is unclear.
    `ci95`, at this confidence, lies between a size at which one is told better and a size at which the other is.
    The order of the two does not matter.
    """
    if b < a:
        a, b, draws_a, draws_b = b, a, draws_b, draws_a
    nothing = dict.fromkeys(("leader", "images", "ci95", "not_before"))
    found: dict[str, Any] = {"a": a, "b": b, "metric": metric, "outcome": "unclear", **nothing}
    points = _points(sizes, [draws_a, draws_b], metric)
    if points is None:
        why = "one training size makes no curve" if len(sizes) < 2 else "too few of the resamples have a score"
        return {**found, "sentence": f"where {a} and {b} cross cannot be told: {why}"}
    full = points.sizes[-1]
    grid = np.unique(np.append(np.geomspace(points.sizes[0], full * REACH * _BEYOND, _GRID), [full, full * REACH]))
    chance = posterior(points, grid).below(0)  # that a is better
    leader = _leader(a, b, draws_a[:, -1] - draws_b[:, -1], metric, confidence)
    found = {**found, "leader": leader}
    crossings = [c for c in _crossings(grid, chance, confidence) if c.most_below(full * REACH)]
    if crossings:
        nearest = min(crossings, key=lambda c: abs(np.log(c.images / full)))
        said = _said_crossing((b, a) if nearest.a_first else (a, b), nearest, full, len(crossings), confidence)
        outcome = "inside" if nearest.images <= full else "beyond"
        return {**found, "outcome": outcome, "images": nearest.images, "ci95": [nearest.low, nearest.high],
                "sentence": said}  # fmt: skip
    if leader is None:
        return {**found, "sentence": f"where {a} and {b} cross cannot be told from these points"}
    lead = _lead(grid, chance if leader == a else 1 - chance, full, confidence)
    never = lead is not None and lead > full * REACH
    found = {**found, "outcome": "never" if never else "unclear", "not_before": None if never else lead}
    return {**found, "sentence": _said_lead(leader, b if leader == a else a, never, lead, full * REACH)}


def _points(sizes: np.ndarray, draws: list[np.ndarray], metric: str) -> Points | None:
    """Return what paired draws say of the errors, without resamples in which some score is not finite."""
    scores = np.stack(draws, 1)  # (B, K, F)
    scores = scores[np.isfinite(scores).all((1, 2))]
    if len(sizes) < 2 or len(scores) < _FEWEST_DRAWS:
        return None
    errors = scores if metric in LOWER_IS_BETTER else 1 - scores
    rows = errors.reshape(len(errors), -1)
    covariance = np.cov(rows, rowvar=False) + np.eye(rows.shape[1]) * _FLOOR**2
    return Points(np.asarray(sizes, dtype=np.float64), errors.mean(0), covariance)


def _leader(a: str, b: str, differences: np.ndarray, metric: str, confidence: float) -> str | None:
    """Return the one whose score with all images is told better, if one is."""
    known = differences[np.isfinite(differences)] * (-1 if metric in LOWER_IS_BETTER else 1)
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return a if low > 0 else b if high < 0 else None


def _lead(grid: np.ndarray, chance: np.ndarray, full: float, confidence: float) -> float | None:
    """Return up to how many images, from all there are, one stays told better; infinity where to the end."""
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
        """Say whether it lies below the limit, and so does most of its interval, in log n."""
        return self.images <= limit and self.low * self.high <= limit**2


def _crossings(grid: np.ndarray, chance: np.ndarray, confidence: float) -> list[_Crossing]:
    """Return every stretch from a size at which a strategy is told better to the next at which the other is."""
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


def _said_crossing(names: tuple[str, str], crossing: _Crossing, full: float, count: int, confidence: float) -> str:
    winner, loser = names
    verb = "overtakes" if crossing.images <= full else "catches up with"
    low, middle, high = (_rounded(n) for n in (crossing.low, crossing.images, crossing.high))
    again = "; they cross more than once" if count > 1 else ""
    return f"{winner} {verb} {loser} at about {middle} images ({100 * confidence:g} %: {low} to {high}){again}"


def _said_lead(leader: str, other: str, never: bool, lead: float | None, limit: float) -> str:
    within = f"{leader} within ten times your data ({limit:,.0f} images)"
    if never:
        return f"{other} does not catch up with {within}"
    bound = "" if lead is None else f"; not before about {_rounded(lead)}"
    return f"whether {other} catches up with {within} cannot be told from these points{bound}"


def _rounded(images: float) -> str:
    """Return a number of images with two significant digits."""
    return f"{float(f'{images:.2g}'):,.0f}"
