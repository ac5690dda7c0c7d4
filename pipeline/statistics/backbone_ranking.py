"""Backbones ranked before training, by how well their features separate the classes, and compared with test results."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from math import factorial
from typing import NamedTuple

from pipeline.config.metric_names import LOWER_IS_BETTER
from pipeline.config.recipe import HEADS, TUNED, Kind
from pipeline.statistics.ranking_schema import BackboneRanking, RankAgreement, RankedBackbone
from pipeline.statistics.schema import Comparison, Transferability

# Of pretrained features, on train and valid; higher is better. The H-score of random labels is subtracted, since an
# H-score grows with the number of features.
SCORES = ("ridge_accuracy", "log_me", "h_score_gain")
OUTCOMES: tuple[Kind, ...] = (HEADS, TUNED)
FEWEST = 3  # backbones from which a rank correlation is given
SIGNIFICANT = 0.05  # the largest permutation p-value of a significant correlation


class Agreement(NamedTuple):
    """Kendall's rank correlation of two lists, the pairs in the same order, and the permutation p-value."""

    tau: float
    same: int
    pairs: int
    p_permutation: float


def scores(measures: Mapping[str, float]) -> dict[str, float]:
    """Return the scores by which backbones are ranked, from the measures of their features."""
    return {
        "ridge_accuracy": measures["ridge_accuracy"],
        "log_me": measures["log_me"],
        "h_score_gain": measures["h_score"] - measures["h_score_if_random"],
    }


def ranking(comparison: Comparison) -> BackboneRanking | None:
    """Return the pretrained backbones with their test results, the highest LogME first; None with fewer than two.

    A backbone's outcomes are its best strategies on validation, frozen and fine-tuned, one of which may be missing.
    `agreement` says, for each score and kind of outcome, how well their orders agree; see `agree`.
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
    """Yield how well each score agrees with each outcome, where at least FEWEST backbones have it."""
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

    `p_permutation` is the exact share of all orders that agree at least as well; a pair that is tied in one list
    counts as not agreeing.
    """
    signs = [(a > b) - (a < b) for a, b in combinations(first, 2)]
    others = [(a > b) - (a < b) for a, b in combinations(second, 2)]
    products = [x * y for x, y in zip(signs, others, strict=True)]
    same, pairs = products.count(1), len(products)
    tau = sum(products) / max((sum(map(abs, signs)) * sum(map(abs, others))) ** 0.5, 1)
    return Agreement(tau, same, pairs, _p_permutation(len(first), pairs - same))


def _p_permutation(count: int, inversions: int) -> float:
    """Return the share of the orders of `count` items with at most `inversions` pairs out of order."""
    ways = [1]  # by number of inversions
    for size in range(1, count):
        ways = [sum(ways[max(0, i - size) : i + 1]) for i in range(len(ways) + size)]
    return sum(ways[: inversions + 1]) / factorial(count)
