"""The law of a score over the number of training images, estimated from a few points.

The law is a power law with an asymptote (Cortes et al. 1993; Hestness et al. 2017), parametrised by one well-known
quantity and two with a bounded range: error(n) = E (r + (1 - r) (n / N) ** -c), where E > 0 is the error
with all N images, r in [0, 1] the share of it that more images would not remove, and c the exponent. Four points do not
fix three parameters, so none is picked: all (r, c) of a grid count, each by how well it explains the points (Bayes).
Real curves follow no law exactly (Mohr and van Rijn 2022; Viering and Loog 2023), so the error may depart from its law
along a random walk in log n, and its slope along another, with a step that is weighed in the same way. So uncertainty
grows with the distance from the points.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.special import ndtr

_SHARES = (np.arange(9) + 0.5) / 9  # r
_EXPONENTS = np.geomspace(0.08, 2.0, 9)  # c
_STEPS = (0.01, 0.03, 0.1)  # of the walk: share of the error, per square root of an e-fold of images
_BENDS = 0.2  # variance of the walk's slope per e-fold, in steps squared: the two are alike after a factor of about ten
_NEGLIGIBLE = 1e-6  # weight of a law next to the heaviest
_SIGNS = np.array([1.0, -1.0])


@dataclass(frozen=True)
class Law:
    """The law error(n) = a + b n ** -c, with a, b >= 0 and c > 0."""

    a: float
    b: float
    c: float

    def at(self, images: np.ndarray) -> np.ndarray:
        """Return the error at each number of images."""
        return self.a + self.b * np.asarray(images, dtype=np.float64) ** -self.c


@dataclass(frozen=True)
class Points:
    """The errors of one strategy, or of two, at F >= 2 numbers of images."""

    sizes: np.ndarray  # (F,), ascending
    errors: np.ndarray  # (K, F)
    covariance: np.ndarray  # (K F, K F), of the errors row by row; not singular

    def level(self, at: np.ndarray) -> np.ndarray:
        """Return roughly the error (K, sizes) at some sizes; beyond the last point that of the last."""
        return np.stack([np.interp(np.log(at), np.log(self.sizes), errors) for errors in self.errors])

    def walk(self, at: np.ndarray, step: float) -> np.ndarray:
        """Return the covariance (K, sizes, F) of departures from the law at some sizes and at the measured ones."""
        shared = _covariance(np.log(at / self.sizes[0])[:, None], np.log(self.sizes / self.sizes[0]))
        return step**2 * shared * self.level(at)[:, :, None] * self.errors[:, None, :]


def _covariance(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return the covariance of departures after u and v e-folds of images: steps, and steps in slope (_BENDS)."""
    less, more = np.minimum(u, v), np.maximum(u, v)
    return less + _BENDS * less**2 * (3 * more - less) / 6


@dataclass(frozen=True)
class Mixture:
    """A mixture of normal distributions at each of some sizes."""

    mean: np.ndarray  # (laws, sizes)
    deviation: np.ndarray  # (laws, sizes), above 0
    weight: np.ndarray  # (laws,), sums to 1

    def below(self, value: np.ndarray | float) -> np.ndarray:
        """Return the probability of less than the value at each size."""
        return self.weight @ ndtr((value - self.mean) / self.deviation)

    def quantile(self, q: float) -> np.ndarray:
        """Return the q-quantile at each size, by bisection."""
        low, high = (self.mean - 9 * self.deviation).min(0), (self.mean + 9 * self.deviation).max(0)
        for _ in range(50):
            middle = (low + high) / 2
            under = self.below(middle) < q
            low, high = np.where(under, middle, low), np.where(under, high, middle)
        return (low + high) / 2


class _Cells:
    """All combinations of laws of K strategies, one (r, c) for each."""

    def __init__(self, shares: np.ndarray, exponents: np.ndarray, strategies: int) -> None:
        laws = np.array(list(product(shares, exponents)))
        picked = np.indices((len(laws),) * strategies).reshape(strategies, -1).T  # (cells, K)
        self.shares, self.exponents = laws[picked, 0], laws[picked, 1]

    def curves(self, ratio: np.ndarray, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Return each law over its E, (cells, K, sizes), at sizes over N."""
        shares, exponents = self.shares[rows, :, None], self.exponents[rows, :, None]
        return shares + (1 - shares) * np.exp(-exponents * np.log(ratio))


class _Weighed:
    """The fit of each cell to the points, for one step of the walk: weighted least squares with E unknown."""

    def __init__(self, points: Points, cells: _Cells, step: float) -> None:
        strategies, count = points.errors.shape
        total = points.covariance.copy()
        for k, own in enumerate(points.walk(points.sizes, step)):
            total[k * count : (k + 1) * count, k * count : (k + 1) * count] += own
        self.step, self.inverse, seen = step, np.linalg.inv(total), points.errors.ravel()
        self.curves = cells.curves(points.sizes / points.sizes[-1])  # (cells, K, F)
        blocks = self.inverse.reshape(strategies, count, strategies, count)
        normal = np.einsum("iklg,ilg->ikl", np.einsum("ikf,kflg->iklg", self.curves, blocks), self.curves)
        moment = np.einsum("ikf,kf->ik", self.curves, (self.inverse @ seen).reshape(strategies, count))
        self.spread = np.linalg.inv(normal)  # (cells, K, K): covariance of each E
        self.scale = np.einsum("ikl,il->ik", self.spread, moment)  # (cells, K): mean of each E
        determinants = np.linalg.slogdet(self.spread)[1] - np.linalg.slogdet(total)[1]
        misfit = seen @ self.inverse @ seen - (moment * self.scale).sum(1)
        self.evidence = (determinants - misfit) / 2  # log, up to a constant


def likeliest(points: Points) -> Law:
    """Return the likeliest law of one strategy that departs from it little."""
    cells = _Cells(np.linspace(0, 1, 51), np.geomspace(_EXPONENTS[0], _EXPONENTS[-1], 51), 1)
    weighed = _Weighed(points, cells, _STEPS[0])
    best = int(weighed.evidence.argmax())
    error, share, c = max(weighed.scale[best, 0], 0), cells.shares[best, 0], cells.exponents[best, 0]
    return Law(float(error * share), float(error * (1 - share) * points.sizes[-1] ** c), float(c))


def posterior(points: Points, at: np.ndarray) -> Mixture:
    """Return the error of one strategy, or that of the first less that of the second, at sizes from the first up."""
    assert at.min() >= points.sizes[0], "nothing is known about fewer images than were measured"
    cells = _Cells(_SHARES, _EXPONENTS, len(points.errors))
    parts = [_Weighed(points, cells, step) for step in _STEPS]
    evidence = np.stack([part.evidence for part in parts])
    weight = np.exp(evidence - evidence.max())
    kept = weight > _NEGLIGIBLE
    found = [_predicted(points, cells, part, at, rows) for part, rows in zip(parts, kept)]
    mean, variance = (np.concatenate(part) for part in zip(*found))
    return Mixture(mean, np.sqrt(np.maximum(variance, 1e-18)), weight[kept] / weight[kept].sum())


def _predicted(
    points: Points, cells: _Cells, part: _Weighed, at: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance (rows, sizes) under each of some cells: kriging with the scale of the trend unknown."""
    strategies, count = points.errors.shape
    signs = _SIGNS[:strategies, None]
    shared = (signs[:, :, None] * points.walk(at, part.step)).transpose(0, 2, 1).reshape(-1, len(at))  # (K F, sizes)
    pull = part.inverse @ shared
    folds = np.log(at / points.sizes[0])
    alone = part.step**2 * _covariance(folds, folds) * (points.level(at) ** 2).sum(0)
    taken = np.einsum("ikf,kfn->ikn", part.curves[rows], pull.reshape(strategies, count, -1))
    trend = signs * cells.curves(at / points.sizes[-1], rows) - taken
    mean = points.errors.ravel() @ pull + np.einsum("ik,ikn->in", part.scale[rows], trend)
    doubt = np.einsum("ikn,ikn->in", np.einsum("ikl,iln->ikn", part.spread[rows], trend), trend)
    return mean, doubt + np.maximum(alone - (shared * pull).sum(0), 0)
