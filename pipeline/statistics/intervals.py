"""Intervals, tests and bootstrap draws of scores of several seeds: for new seeds and new images."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.special import chdtri, stdtr, stdtrit

from pipeline.config.metric_names import LOWER_IS_BETTER
from pipeline.statistics.jackknife import InfluenceTable

Key = TypeVar("Key", bound=Hashable)

MOST_WEIGHTS = 2**24  # numbers held at a time; more images are resampled in more parts


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, and its uncertainty over new seeds and new images.

    Deviations are assumed to follow Student's t, for the seeds' share of the variance with one degree of freedom less
    than seeds, for the rest with one less than images. (Cochran and Cox 1950 weight the two quantiles by these shares;
    here the two probabilities are weighted.) Few seeds widen only their own part.
    """

    mean: np.ndarray
    variance: np.ndarray
    share: np.ndarray  # of the variance that is known from the scatter of the seeds' scores alone
    beside: np.ndarray  # the part of the variance that images alone do not explain
    seeds: int
    images: int

    @property
    def error(self) -> np.ndarray:
        """Return the standard error."""
        return np.sqrt(self.variance)

    def below(self, ratio: np.ndarray) -> np.ndarray:
        """Return the probability of a deviation below `ratio` standard errors."""
        of_seeds, of_images = (stdtr(max(count - 1, 1), ratio) for count in (self.seeds, self.images))
        return self.share * of_seeds + (1 - self.share) * of_images

    def quantile(self, probability: float) -> np.ndarray:
        """Return the quantile of the deviation in standard errors, for a probability above 0.5, by bisection."""
        low, high = np.zeros(self.mean.shape), np.full(self.mean.shape, 1.0)
        high *= max(stdtrit(max(count - 1, 1), probability) for count in (self.seeds, self.images))
        for _ in range(40):
            middle = (low + high) / 2
            enough = self.below(middle) >= probability
            low, high = np.where(enough, low, middle), np.where(enough, middle, high)
        return high

    def chance_above(self) -> np.ndarray:
        """Return the probability that the expected value is above 0; 0.5 where nothing varies and it is 0."""
        return np.where(self.variance > 0, self.below(self._ratio()), (np.sign(self.mean) + 1) / 2)

    def p_value(self) -> np.ndarray:
        """Return the two-sided p-value of the expected value being 0; 1 where nothing varies and it is 0."""
        tail = 2 * self.below(-np.abs(self._ratio()))
        return np.where(self.variance > 0, tail, np.where(self.mean == 0, 1.0, 0.0))

    def _ratio(self) -> np.ndarray:
        return self.mean / np.where(self.variance > 0, self.error, 1.0)


def estimate(table: InfluenceTable) -> Estimate:
    """Return the mean over seeds, with the variance of two crossed random factors.

    The variance is that of the seeds' mean, plus the covariance of two seeds due to the images they share. So each part
    of the noise counts once (Cornfield and Tukey 1956), whereas a bootstrap of both factors counts the residual three
    times (Owen 2007). It is never less than that of the images alone, for these very seeds: the scores of two seeds may
    agree by chance, and what is known of their images remains. With one seed, it is that of the images alone.

    The seeds' share is what their scores scatter by beyond what images explain. A few seeds do not say well how much
    that is, so 1 / (S - 1) of what images explain counts as theirs too: simulated, the intervals of 2, 3 and 5 seeds
    then hold the truth equally often.
    """
    count = table.scores.shape[-1]
    mean = table.scores.mean(-1)
    images = (table.influence.mean(-2) ** 2).sum(-1)
    if count == 1:
        nothing = np.zeros(mean.shape)
        return Estimate(mean, images, nothing, nothing, 1, table.images)
    between = table.scores.var(-1, ddof=1) / count
    own = (table.influence**2).sum((-2, -1)) / count**2
    shared = (images - own) * count / (count - 1)
    variance = np.maximum(between + np.maximum(shared, 0.0), images)
    beside = np.maximum(variance - images, 0.0)
    by_seeds = beside + np.maximum(between - beside, 0.0) / (count - 1)
    share = np.minimum(by_seeds / np.where(variance > 0, variance, 1.0), 1.0)
    return Estimate(mean, variance, share, beside, count, table.images)


def difference_interval(estimated: Estimate, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the interval of a difference, which excludes 0 where the p-value is below 1 - confidence."""
    within = estimated.quantile((1 + confidence) / 2) * estimated.error
    return estimated.mean - within, estimated.mean + within


def score_interval(estimated: Estimate, metric: str, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the interval of a score, within the range of the metric.

    A share has Wilson's interval (1927) for its effective number of images (Korn and Graubard 1998), or for the actual
    number where nothing varies, as at 100 %. A log loss has its interval on the log scale.
    """
    mean, quantile = estimated.mean, estimated.quantile((1 + confidence) / 2)
    if metric in LOWER_IS_BETTER:
        factor = np.exp(quantile * estimated.error / np.where(mean > 0, mean, 1.0))
        return mean / factor, mean * factor
    varies = (estimated.variance > 0) & (mean * (1 - mean) > 0)
    worth = np.where(varies, mean * (1 - mean) / np.where(varies, estimated.variance, 1.0), estimated.images)
    pull = quantile**2 / worth
    within = quantile * np.sqrt(mean * (1 - mean) / worth + pull / (4 * worth))
    low, high = ((mean + pull / 2 + side * within) / (1 + pull) for side in (-1, 1))
    return np.clip(low, 0.0, mean), np.clip(high, mean, 1.0)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number (Holm 1979), which controls the family-wise error rate."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def draws(tables: Mapping[Key, InfluenceTable], resamples: int, seed: int) -> dict[Key, np.ndarray]:
    """Return (resamples,) draws of each table's mean over seeds, with the distribution that `estimate` gives the mean.

    This is a paired hierarchical bootstrap: all tables have the images in one order and share the images drawn, once
    for all seeds, and tables with equal numbers of seeds share the seeds' weights. Drawing a few seeds with replacement
    would give few different means with too small a variance, so each seed is weighted by a normal number instead (the
    multiplier, or wild, bootstrap: Wu 1986). Deviations in the seeds' share of the draws are stretched to Student's t.

    A table's draws are the same to the bit whatever other tables are drawn beside it.
    """
    means = np.stack([table.influence.mean(0) for table in tables.values()])
    moved = _resample(means, resamples, seed)
    return {key: _draw(table, moved[:, i], seed) for i, (key, table) in enumerate(tables.items())}


def _draw(table: InfluenceTable, moved: np.ndarray, seed: int) -> np.ndarray:
    estimated, count, resamples = estimate(table), len(table.scores), len(moved)
    mean = float(estimated.mean)
    if count == 1:
        return mean + moved
    rng = np.random.default_rng([seed, 1])
    weights, heavy, chosen = rng.normal(size=(resamples, count)), rng.random(resamples), rng.random(resamples)
    between = float(table.scores.var(ddof=1)) / count
    scale = np.sqrt(float(estimated.beside) / between) if between > 0 else 0.0
    by_seed = scale * weights @ (table.scores - mean) / np.sqrt(count * (count - 1))
    stretch = np.where(chosen < estimated.share, np.sqrt((count - 1) / chdtri(count - 1, heavy)), 1.0)
    return mean + stretch * (by_seed + moved)


def run_chance(a: np.ndarray, b: np.ndarray) -> float:
    """Return the share of `runs` of a that are above those of b by the same seed, ties counting half.

    This is the P(A > B) of Bouthillier et al. 2021.
    """
    gain = np.round(a - b, 12)
    return float(np.mean(gain > 0) + np.mean(gain == 0) / 2)


def runs(tables: Mapping[Key, InfluenceTable], resamples: int, seed: int) -> dict[Key, np.ndarray]:
    """Return (resamples, S) scores of single runs on images drawn with replacement, the same for all tables.

    A table's scores are the same to the bit whatever other tables are drawn beside it.
    """
    moved = _resample(np.concatenate([table.influence for table in tables.values()]), resamples, seed)
    ends = np.cumsum([len(table.scores) for table in tables.values()])[:-1]
    parts = np.split(moved, ends, axis=1)
    return {key: table.scores + part for (key, table), part in zip(tables.items(), parts)}


def _resample(influences: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Return (resamples, K): by how much images drawn with replacement move sums of influences (K, N).

    Each sum is a product of its own: in one product for all, the last bits of a column depend, on some processors,
    on where it stands and on how many others there are.
    """
    rng, images = np.random.default_rng(seed), influences.shape[1]
    at_once = max(1, MOST_WEIGHTS // images)
    moved = np.empty((resamples, len(influences)))
    for start in range(0, resamples, at_once):
        count = min(at_once, resamples - start)
        weights = rng.multinomial(images, np.full(images, 1 / images), count) - 1.0
        for column, influence in enumerate(influences):
            moved[start : start + count, column] = weights @ influence
    return moved
