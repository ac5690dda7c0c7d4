"""The rule: use the cheapest strategy that is expected to lose against the best no more than matters."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from pipeline.config.metric_names import LOWER_IS_BETTER
from pipeline.statistics.joint_scores import estimates
from pipeline.statistics.posterior import Estimates, Posterior, posterior
from pipeline.statistics.schema import Comparison
from pipeline.verdict.pairwise import train_flops
from pipeline.verdict.schema import ArmStanding, Decided, MoreData, Word

DIFFERENT = 0.95  # probability of a difference beyond what matters, from which it is called one
EQUIVALENT = 0.8  # probability of no such difference, from which two are called practically equivalent
_MORE = np.geomspace(1.05, 32.0, 71)  # how many times the images or seeds are tried out
_MORE_SEEDS = 8  # of which seeds are tried out at most
_SLACK = 1e-12


@dataclass(frozen=True)
class Belief:
    """What is believed of some strategies of a comparison, and which of them is to be used."""

    comparison: Comparison
    names: tuple[str, ...]

    @cached_property
    def estimates(self) -> Estimates:
        """Return the measured means with their covariance; more is better."""
        return estimates(self.comparison, self.names)

    @cached_property
    def posterior(self) -> Posterior:
        """Return what is believed of the true scores."""
        return self._posterior(self.estimates)

    @cached_property
    def kept(self) -> list[str]:
        """Return the strategies that are not clearly dominated: those worth choosing between."""
        return [name for name, kept in zip(self.names, self.posterior.kept, strict=True) if kept]

    def _posterior(self, measured: Estimates, about: Collection[str] = ()) -> Posterior:
        best = float(measured.means.max())
        error = -best if self.comparison.metric in LOWER_IS_BETTER else 1 - best
        return posterior(measured, [train_flops(self.comparison, name) for name in self.names], error, about)

    @cached_property
    def losses(self) -> dict[str, float]:
        """Return each strategy's expected loss against the best."""
        return {
            name: (self.posterior if name in self.kept else self._posterior(self.estimates, [name])).loss(name)
            for name in self.names
        }

    def cheapest_within(self, worth: float) -> str:
        """Return the cheapest to train that is expected to lose no more than this; else the one that loses least.

        Ties are broken by the score on validation, then by name.
        """
        place = {name: rank for rank, name in enumerate(self.comparison.ranked(self.names, "valid"))}
        kept = {name: self.losses[name] for name in self.kept}
        return cheapest_within(kept, {name: (train_flops(self.comparison, name), place[name]) for name in kept}, worth)

    @property
    def recommended(self) -> str:
        """Return the strategy to use."""
        return self.cheapest_within(self.comparison.worth)

    @property
    def best(self) -> str:
        """Return the strategy that is expected to be the best."""
        return min(self.kept, key=lambda name: (self.losses[name], train_flops(self.comparison, name), name))

    def standing(self, name: str, against: str) -> ArmStanding:
        """Return how a strategy compares with another, and what would decide it where that is open."""
        believed = self._posterior(self.estimates, [name, against])
        word, likeliest, probability = in_a_word(believed, name, against, self.comparison.worth)
        return ArmStanding(
            standing=word,
            likeliest=likeliest,
            probability=probability,
            gain=believed.expected(name, against),
            p_better=believed.p_above(name, against),
            loss=self.losses[name],
            decided_by=self._deciding(believed, name, against) if word == "undecided" else None,
        )

    def _deciding(self, believed: Posterior, name: str, against: str) -> MoreData:
        """Return how many times the test images, or the seeds, would decide it if what is believed now is true."""
        means = np.array([believed.expected(other, against) for other in self.names])
        likely = replace(self.estimates, means=means - means.max() + self.estimates.means.max())

        def first(**more: float) -> bool:
            expected = self._posterior(likely.with_more(**more), [name, against])
            return in_a_word(expected, name, against, self.comparison.worth)[0] != "undecided"

        images = next((float(n) for n in _MORE if first(images=n)), None)
        seeds = next((float(n) for n in _MORE if n <= _MORE_SEEDS and first(seeds=n)), None)
        return MoreData(test_images=images, seeds=seeds)


def cheapest_within(losses: Mapping[str, float], costs: Mapping[str, Any], worth: float) -> str:
    """Return the cheapest that is expected to lose no more than `worth`; else the one that loses least."""
    most = max(min(losses.values()), worth) + _SLACK
    return min((name for name in losses if losses[name] <= most), key=lambda name: (costs[name], name))


def in_a_word(believed: Posterior, name: str, against: str, worth: float) -> tuple[Word, Decided, float]:
    """Return the word for how a strategy compares with another, the likeliest, and the probability of that."""
    better, worse = believed.p_above(name, against, worth), believed.p_above(against, name, worth)
    chances: dict[Decided, float] = {"better": better, "equivalent": 1 - better - worse, "worse": worse}
    likeliest = max(chances, key=lambda word: chances[word])
    decided = chances[likeliest] >= (EQUIVALENT if likeliest == "equivalent" else DIFFERENT)
    return likeliest if decided else "undecided", likeliest, chances[likeliest]


def belief(comparison: Comparison, names: Collection[str] | None = None) -> Belief:
    """Return what is believed of these strategies, or of all."""
    return Belief(comparison, tuple(sorted(comparison.strategies if names is None else names)))


def recommend(comparison: Comparison, names: Collection[str] | None = None) -> str | None:
    """Return the strategy to use, or None where `names` is empty."""
    found = belief(comparison, names)
    return found.recommended if found.names else None
