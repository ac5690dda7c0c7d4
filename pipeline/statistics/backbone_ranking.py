"""Backbones ranked before training, by how far their features separate the classes, held against what came out."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from math import factorial
from typing import NamedTuple

from pipeline.config.metric_names import LOWER_IS_BETTER
from pipeline.config.recipe import HEADS, TUNED, Kind
from pipeline.statistics.schema import BackboneRanking, Comparison, RankAgreement, RankedBackbone, Transferability

# Of features as they are, on train and valid; more is better. An H-score is taken less what random labels give, since
# it grows with the number of features.
SCORES = ("ridge_accuracy", "log_me", "h_score_gain")
OUTCOMES: tuple[Kind, ...] = (HEADS, TUNED)
FEWEST = 3  # backbones from which a rank correlation is given
SIGNIFICANT = 0.05  # of all orders, at most, that agree as well: from there a correlation says something


class Agreement(NamedTuple):
    """Kendall's rank correlation of two lists, the pairs in the same order, and how rare so good an agreement is."""

    tau: float
    same: int
    pairs: int
    p_permutation: float


def scores(measures: Mapping[str, float]) -> dict[str, float]:
    """Return what backbones are ranked by, from the measures of some features."""
    return {
        "ridge_accuracy": measures["ridge_accuracy"],
        "log_me": measures["log_me"],
        "h_score_gain": measures["h_score"] - measures["h_score_if_random"],
    }


def ranking(comparison: Comparison) -> BackboneRanking | None:
    """Return pretrained backbones, the highest LogME first, with what came out; None of fewer than two.

    A backbone's outcomes are the strategies with it that are best on validation, frozen and fine-tuned, one of which
    may be missing. `agreement` holds for each score and outcome how well the order foretold the other; see `agree`.
    """
    transfers: dict[str, Transferability] = {}
    outcomes: dict[str, dict[Kind, str]] = {}
    for kind, names in comparison.by_kind().items():
        for name in names if kind in OUTCOMES else ():
            strategy = comparison.strategies[name]
            if strategy.transfer is not None:
                transfers.setdefault(strategy.recipe.backbone, strategy.transfer)
                outcomes.setdefault(strategy.recipe.backbone, {}).setdefault(kind, name)
    if len(outcomes) < 2:
        return None
    rows = [
        RankedBackbone(backbone=name, scores=scores(transfers[name].features), outcomes=found)
        for name, found in outcomes.items()
    ]
    ordered = sorted(rows, key=lambda row: (-row.scores["log_me"], row.backbone))
    return BackboneRanking(backbones=tuple(ordered), agreement=tuple(_agreements(comparison, ordered)))


def _agreements(comparison: Comparison, rows: Sequence[RankedBackbone]) -> Iterable[RankAgreement]:
    """Yield how well each score foretold each outcome, over the backbones that have it where these are enough."""
    sign = -1 if comparison.metric in LOWER_IS_BETTER else 1
    for score in SCORES:
        for outcome in OUTCOMES:
            there = [row for row in rows if outcome in row.outcomes]
            if len(there) >= FEWEST:
                tests = [comparison.strategies[row.outcomes[outcome]].test[comparison.metric] for row in there]
                found = agree([row.scores[score] for row in there], [sign * test.mean for test in tests])
                yield RankAgreement(score=score, outcome=outcome, backbones=len(there), **found._asdict())


def agree(first: Sequence[float], second: Sequence[float]) -> Agreement:
    """Return how well the orders of two lists agree.

    `p_permutation` is the share of all orders that agree at least as well, which is exact; pairs that are equal in one
    list count as not agreeing there.
    """
    signs = [(a > b) - (a < b) for a, b in combinations(first, 2)]
    others = [(a > b) - (a < b) for a, b in combinations(second, 2)]
    products = [x * y for x, y in zip(signs, others, strict=True)]
    same, pairs = products.count(1), len(products)
    tau = sum(products) / max((sum(map(abs, signs)) * sum(map(abs, others))) ** 0.5, 1)
    return Agreement(tau, same, pairs, _p_permutation(len(first), pairs - same))


def _p_permutation(count: int, inversions: int) -> float:
    """Return the share of the orders of so many things that have at most so many pairs out of order."""
    ways = [1]  # by number of inversions
    for size in range(1, count):
        ways = [sum(ways[max(0, i - size) : i + 1]) for i in range(len(ways) + size)]
    return sum(ways[: inversions + 1]) / factorial(count)
