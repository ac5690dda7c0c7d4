"""What is believed of strategies' true scores after the test: a normal model with shrinkage over strategies.

The true scores of the strategies scatter around a common level with an unknown standard deviation, the spread; the
measured means scatter around the true scores with the covariance of their estimates (the normal-normal hierarchical
model: Lindley and Smith 1972; Efron and Morris 1975). So where the measured means differ no more than noise makes them
differ, differences shrink to almost nothing, however many strategies there are. The spread is not estimated by one
number: all of a grid count, each by how well it explains the means. Nothing is drawn: every result is a sum over grids,
so it is the same for any order of strategies, images and seeds.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import ndtr

_SPREADS = np.geomspace(0.01, 30.0, 33)  # of the grid, in units of the expected spread
EXPECTED_SPREAD = 0.2  # of the true scores, as a share of the best strategy's error; that of a half-Cauchy prior
_LEAST_ERROR = 1e-3  # an error below this is taken for this
_OUT, _FULLY_IN = 1e-4, 1e-3  # chances to be better than a cheaper strategy: of no interest, and of full interest
_EVEN = 0.1  # weight of an even split of a difference's variance, in strategies
_NOTHING = 1e-12
_NODES, _MASSES = np.polynomial.hermite_e.hermegauss(25)
_STEPS = np.linspace(-8.0, 8.0, 161)  # standard deviations about which the best score is looked for


@dataclass(frozen=True)
class Estimates:
    """The measured means of strategies, more being better, and the covariance of their errors by source."""

    names: tuple[str, ...]
    means: np.ndarray  # (K,)
    from_images: np.ndarray  # (K, K)
    from_seeds: np.ndarray  # (K, K), beyond images; a few seeds' doubt about their own scatter included

    def among(self, names: Sequence[str]) -> "Estimates":
        """Return the estimates of some strategies, in the order of the names."""
        rows = [self.names.index(name) for name in names]
        square = np.ix_(rows, rows)
        return Estimates(tuple(names), self.means[rows], self.from_images[square], self.from_seeds[square])

    def with_more(self, images: float = 1.0, seeds: float = 1.0) -> "Estimates":
        """Return what is expected of so many times the test images and seeds."""
        return Estimates(self.names, self.means, self.from_images / images, self.from_seeds / seeds)

    @cached_property
    def gain(self) -> np.ndarray:
        """Return (K, K): the mean of each row less that of each column."""
        return self.means[:, None] - self.means

    @cached_property
    def variance(self) -> np.ndarray:
        """Return (K, K): the variance of each difference, never less than that of the images alone."""
        return _of_differences(self.from_images) + _of_differences(self.from_seeds)


@dataclass(frozen=True)
class Posterior:
    """What is believed of strategies, given each spread of the grid: differences of two, and the best of all.

    A difference of two has the variance of their paired difference. For the best of many, the strategies' errors are
    taken for independent once what all share is gone, with variances that add up to those of the differences.
    """

    names: tuple[str, ...]
    weight: np.ndarray  # (T,) of each spread, sums to 1
    mean: np.ndarray  # (T, K, K) of the row's true score less the column's
    deviation: np.ndarray  # (T, K, K)
    scores: np.ndarray  # (T, K): expected scores, from an arbitrary zero
    spread: np.ndarray  # (T, K): their standard deviations
    kept: np.ndarray  # (K,): not clearly dominated

    def p_above(self, name: str, other: str, threshold: float = 0.0) -> float:
        """Return the probability that a strategy's true score is above another's by more than a threshold.

        Half the probability of a tie counts.
        """
        mean, deviation = self._of(name, other)
        return float(self.weight @ _below(mean - threshold, deviation))

    def expected(self, name: str, other: str) -> float:
        """Return the expected difference of two true scores."""
        return float(self.weight @ self._of(name, other)[0])

    def loss(self, name: str) -> float:
        """Return how much a strategy's true score is expected to be below the best one of all."""
        return float(self.weight @ (self._best - self.scores[:, self.names.index(name)]))

    def loss_at_most(self, name: str, confidence: float) -> float:
        """Return what a strategy loses against the best of all at most, with this probability; 0 or more."""
        own = self.names.index(name)
        if not (others := [j for j in range(len(self.names)) if self.kept[j] and j != own]):
            return 0.0
        scores = self.scores[:, own, None] + self.spread[:, own, None] * _NODES  # (T, nodes)
        means, deviations = self.scores[:, None, others], self.spread[:, None, others]

        def within(bound: float) -> float:
            chances = _below(scores[..., None] + bound - means, deviations).prod(-1)
            return float(self.weight @ (chances @ (_MASSES / _MASSES.sum())))

        if within(0.0) >= confidence:
            return 0.0
        low, high = 0.0, float((means.max() + 8 * deviations.max()) - scores.min())
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (low, middle) if within(middle) >= confidence else (middle, high)
        return high

    @cached_property
    def _best(self) -> np.ndarray:
        """Return (T,) the expected score of the best strategy."""
        means, spreads = self.scores[:, self.kept], self.spread[:, self.kept]
        centre = means.max(1, keepdims=True)
        at = centre + _STEPS * np.maximum(spreads.max(1, keepdims=True), _NOTHING)
        chances = _below(at[..., None] - means[:, None], spreads[:, None]).prod(-1)  # that all are below
        inner = (chances[:, 1:] + chances[:, :-1]) / 2
        best: np.ndarray = at[:, -1] - (inner * np.diff(at, axis=1)).sum(1)
        return best

    def _of(self, name: str, other: str) -> tuple[np.ndarray, np.ndarray]:
        i, j = self.names.index(name), self.names.index(other)
        return self.mean[:, i, j], self.deviation[:, i, j]


def posterior(estimates: Estimates, costs: Sequence[float], error: float, about: Collection[str] = ()) -> Posterior:
    """Return what is believed of strategies with these costs; `error` is that of the best.

    A strategy that costs at least as much as another, and is almost certainly worse, has no say in the spread: it
    tells nothing of those worth choosing between. Its say fades as it becomes certain, so nothing jumps. Those that the
    question is `about` have their say.
    """
    say = interest(estimates, costs)
    kept_in = say > 0
    say = np.where([name in about for name in estimates.names], 1.0, say)
    noise = _own_noise(estimates.variance, say)
    spreads = _SPREADS[:, None] * EXPECTED_SPREAD * max(error, _LEAST_ERROR)
    whole = spreads**2 + noise  # (T, K)
    pull = say / whole
    level = (pull @ estimates.means) / pull.sum(1)
    away = estimates.means - level[:, None]
    evidence = -((say * (np.log(whole) + away**2 / whole)).sum(1) + np.log(pull.sum(1))) / 2
    weight = np.exp(evidence - evidence.max()) * _SPREADS / (1 + _SPREADS**2)  # a grid even in the logarithm
    twice = 2 * spreads[..., None] ** 2
    share = twice / (twice + estimates.variance)
    kept = spreads**2 / whole
    return Posterior(
        estimates.names,
        weight / weight.sum(),
        share * estimates.gain,
        np.sqrt(share * estimates.variance),
        level[:, None] + kept * away,
        np.sqrt(kept * noise),
        kept_in,
    )


def interest(estimates: Estimates, costs: Sequence[float]) -> np.ndarray:
    """Return (K,) from 0, clearly dominated, to 1: how far a strategy may be better than each that costs no more."""
    chance = _below(estimates.gain, np.sqrt(estimates.variance))
    say = np.ones(len(estimates.names))
    # From the best down: whoever is out cannot put others out, so that adding one that is out changes nothing.
    for i in sorted(range(len(say)), key=lambda i: (-estimates.means[i], costs[i], estimates.names[i])):
        above = [j for j in range(len(say))
                 if say[j] > 0 and costs[j] <= costs[i] and estimates.means[j] > estimates.means[i]]  # fmt: skip
        least = min((chance[i, j] for j in above), default=1.0)
        say[i] = np.clip((least - _OUT) / (_FULLY_IN - _OUT), 0.0, 1.0)
    return say


def _of_differences(covariance: np.ndarray) -> np.ndarray:
    """Return (K, K): the variance of each difference, by the covariance of the means."""
    own = np.diag(covariance)
    variance: np.ndarray = np.maximum(own[:, None] + own - 2 * covariance, 0.0)
    return variance


def _own_noise(variance: np.ndarray, say: np.ndarray) -> np.ndarray:
    """Return (K,) variances whose sums are, by least squares, those of the differences (K, K).

    Two strategies share theirs evenly; with more of them, a weak pull to even shares remains.
    """
    others = say[None, :] * (1 - np.eye(len(say)))
    total = others.sum(1)
    if not total.any():
        return np.zeros(len(say))
    even = (others * variance).sum(1) / np.maximum(2 * total, _NOTHING)
    system = others + np.diag(total + _EVEN)
    found: np.ndarray = np.linalg.solve(system, (others * variance).sum(1) + _EVEN * even)
    return np.maximum(found, even / 4)


def _below(value: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Return the probability that a deviation is below a value; without any spread, by the value's sign."""
    chance: np.ndarray = np.where(
        deviation > _NOTHING, ndtr(value / np.maximum(deviation, _NOTHING)), (np.sign(value) + 1) / 2
    )
    return chance
