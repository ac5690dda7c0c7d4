"""Predictions of made-up strategies, of which the expected scores are known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import multivariate_normal, norm

from pipeline.statistics.jackknife import Scored, influence_tables_of
from pipeline.statistics.scores_and_differences import StrategyPredictions

POINTS, MASSES = np.polynomial.hermite_e.hermegauss(80)
MASSES = MASSES / MASSES.sum()


@dataclass(frozen=True)
class World:
    """Margins of the true class of two: level + shared + own + seed + residual, normal; positive is right.

    Images differ in how hard they are for all strategies (shared) and for one (own), and for one seed of one
    (residual): these three variances add up to 1. A seed moves all margins of its strategy alike.
    """

    levels: tuple[float, ...]  # of each strategy
    shared: float  # variances
    own: float
    seed: float = 0.0
    sharpness: float = 3.0  # logits per unit of margin
    positives: float = 0.5  # share of the images

    def labels(self, images: int) -> np.ndarray:
        """Return labels (N,), the first class first."""
        return (np.arange(images) >= round(images * (1 - self.positives))).astype(int)

    def margins(self, rng: np.random.Generator, count: int, seeds: int, images: int) -> np.ndarray:
        """Return (count, strategies, seeds, images) margins: so many experiments, each with images of its own."""

        def noise(variance: float, *shape: int) -> np.ndarray:
            return np.sqrt(variance, dtype=np.float32) * rng.standard_normal(shape, dtype=np.float32)

        k = len(self.levels)
        found = noise(1 - self.shared - self.own, count, k, seeds, images)
        found += noise(self.shared, count, 1, 1, images) + noise(self.own, count, k, 1, images)
        found += noise(self.seed, count, k, seeds, 1)
        return found + np.array(self.levels, dtype=np.float32)[:, None, None]

    def probabilities(self, margins: np.ndarray) -> np.ndarray:
        """Return the probabilities (..., N, 2) that margins (..., N) stand for."""
        logits = self.sharpness * np.where(self.labels(margins.shape[-1]) == 1, margins, -margins).astype(np.float64)
        second = 1 / (1 + np.exp(-logits))
        return np.stack([1 - second, second], -1)

    def truth(self) -> dict[str, np.ndarray]:
        """Return the expected score of each strategy over seeds and images."""
        level, total = np.array(self.levels), np.sqrt(1 + self.seed)
        logits = self.sharpness * (level[:, None] + total * POINTS)
        right = norm.cdf(level / total)
        return {
            "accuracy": right,
            "balanced_accuracy": right,
            "roc_auc": norm.cdf(2 * level / np.sqrt(2 + 4 * self.seed)),
            "log_loss": np.logaddexp(0, -logits) @ MASSES,
        }

    def parts(self, strategy: int = 0) -> dict[str, float]:
        """Return the variances of being right: by seed, by image, and the rest."""
        level = self.levels[strategy]
        mean = float(norm.cdf(level / np.sqrt(1 + self.seed)))
        by_seed = norm.cdf(level + np.sqrt(self.seed) * POINTS)
        of_images = self.shared + self.own
        by_image = norm.cdf((level + np.sqrt(of_images) * POINTS) / np.sqrt(1 - of_images + self.seed))
        seed, image = (float(MASSES @ (values - mean) ** 2) for values in (by_seed, by_image))
        return {"seed": seed, "image": image, "rest": mean * (1 - mean) - seed - image}

    def share(self, seeds: int, images: int) -> float:
        """Return the seeds' share of the variance of a mean accuracy."""
        found = self.parts()
        whole = found["seed"] / seeds + found["image"] / images + found["rest"] / (seeds * images)
        return found["seed"] / seeds / whole


def with_share(world: World, share: float, seeds: int, images: int) -> World:
    """Return the world with seeds that differ so much that their share of the variance is this."""

    def changed(seed: float) -> World:
        return World(world.levels, world.shared, world.own, seed, world.sharpness, world.positives)

    return changed(brentq(lambda seed: changed(seed).share(seeds, images) - share, 1e-9, 50.0))


def correlation(first: float, second: float, both: float) -> float:
    """Return the correlation of normal margins that are positive so often, each and together (tetrachoric)."""
    ends = [norm.ppf(first), norm.ppf(second)]

    def gap(r: float) -> float:
        return float(multivariate_normal.cdf(ends, cov=[[1, r], [r, 1]])) - both

    return float(brentq(gap, -0.99, 0.9999))


def predictions(labels: np.ndarray, probabilities: np.ndarray) -> StrategyPredictions:
    """Return a strategy's predictions from probabilities (S, N, C) on the same images, taken for validation as well."""
    scored = Scored([labels] * len(probabilities), list(probabilities))
    found = influence_tables_of(labels, probabilities)
    scores = [{m: float(found[m].scores[s]) for m in found} for s in range(len(probabilities))]
    return StrategyPredictions(scored, scored, scores, scores)


def fitted(right: Sequence[np.ndarray], positives: float) -> World:
    """Return the world whose answers are as often right, together and each, as real ones: (S, N) per strategy.

    Correlations are means over strategies and over pairs of them, as is the seeds' own variance (not below 0).
    """
    levels = [float(norm.ppf(each.mean())) for each in right]
    within, across, seed = [], [], []
    for i, each in enumerate(right):
        count, images = each.shape
        mean = float(each.mean())
        both = [float((each[s] & each[t]).mean()) for s in range(count) for t in range(s)]
        within.append(correlation(mean, mean, float(np.mean(both))))
        centred = each - each.mean(1, keepdims=True) - each.mean(0) + mean
        rest = float((centred**2).sum()) / ((count - 1) * (images - 1))
        seed.append((float(each.mean(1).var(ddof=1)) - rest / images) / norm.pdf(levels[i]) ** 2)
        for other in right[:i]:
            both = [float((each[s] & other[t]).mean()) for s in range(count) for t in range(len(other))]
            across.append(correlation(mean, float(other.mean()), float(np.mean(both))))
    shared, whole = float(np.mean(across)), float(np.mean(within))
    return World(tuple(levels), shared, whole - shared, max(float(np.mean(seed)), 0.0), positives=positives)
