"""Backbones ranked before training, by how far their features separate the classes, held against what came out."""

from collections.abc import Sequence
from itertools import combinations
from math import factorial
from typing import Any

from pipeline.config.metric_names import LOWER_IS_BETTER
from pipeline.verdict.claim_cases import HEADS, TUNED, by_kind

# Of features as they are, on train and valid; more is better. An H-score is taken less what random labels give, since
# it grows with the number of features.
SCORES = {
    "ridge_accuracy": "leave-one-out accuracy",
    "log_me": "LogME",
    "h_score_gain": "H-score above chance",
}
OUTCOMES = {HEADS: "head alone", TUNED: "fine-tuned"}
FEWEST = 3  # backbones from which a rank correlation is given
TELLING = 0.05  # of all orders, at most, that agree as well: from there a correlation says something

Tree = dict[str, Any]


def scores(transfer: Tree) -> dict[str, float]:
    """Return what backbones are ranked by, from what `transfer.measure` found."""
    return {
        "ridge_accuracy": transfer["ridge_accuracy"],
        "log_me": transfer["log_me"],
        "h_score_gain": transfer["h_score"] - transfer["h_score_if_random"],
    }


def ranking(comparison: Tree) -> Tree | None:
    """Return pretrained backbones, the highest LogME first, with what came out; None of fewer than two.

    A backbone's outcomes are the strategies with it that are best on validation, frozen and fine-tuned, one of which
    may be missing. `agreement` holds for each score and outcome how well the order foretold the other; see `agree`.
    """
    strategies = comparison["strategies"]
    rows: dict[str, Tree] = {}
    for of, names in by_kind(comparison).items():
        for name in names if of in OUTCOMES else ():
            backbone, transfer = strategies[name]["recipe"]["backbone"], strategies[name].get("transfer")
            if transfer:
                row = rows.setdefault(backbone, {"backbone": backbone, "scores": scores(transfer), "outcomes": {}})
                row["outcomes"].setdefault(OUTCOMES[of], name)
    if len(rows) < 2:
        return None
    ordered = sorted(rows.values(), key=lambda row: (-row["scores"]["log_me"], row["backbone"]))
    found = [_agreement(comparison, ordered, score, outcome) for score in SCORES for outcome in OUTCOMES.values()]
    agreement = [each for each in found if each]
    return {"titles": SCORES, "kinds": list(OUTCOMES.values()), "backbones": ordered, "agreement": agreement,
            "said": said(ordered, agreement)}  # fmt: skip


def _agreement(comparison: Tree, rows: Sequence[Tree], score: str, outcome: str) -> Tree | None:
    """Return how well a score foretold an outcome over the backbones that have it; None of fewer than FEWEST."""
    metric, there = comparison["metric"], [row for row in rows if outcome in row["outcomes"]]
    if len(there) < FEWEST:
        return None
    sign = -1 if metric in LOWER_IS_BETTER else 1
    tests = [comparison["strategies"][row["outcomes"][outcome]]["test"] for row in there]
    found = agree([row["scores"][score] for row in there], [sign * test[metric]["mean"] for test in tests])
    return {"score": score, "outcome": outcome, "backbones": len(there), **found}


def agree(first: Sequence[float], second: Sequence[float]) -> Tree:
    """Return Kendall's rank correlation of two lists: `tau`, the pairs in the same order, and `p_permutation`.

    `p_permutation` is the share of all orders that agree at least as well, which is exact; pairs that are equal in one
    list count as not agreeing there.
    """
    signs = [(a > b) - (a < b) for a, b in combinations(first, 2)]
    others = [(a > b) - (a < b) for a, b in combinations(second, 2)]
    products = [x * y for x, y in zip(signs, others, strict=True)]
    same, pairs = products.count(1), len(products)
    tau = sum(products) / max((sum(map(abs, signs)) * sum(map(abs, others))) ** 0.5, 1)
    return {"tau": tau, "same": same, "pairs": pairs, "p_permutation": _p_permutation(len(first), pairs - same)}


def _p_permutation(count: int, inversions: int) -> float:
    """Return the share of the orders of so many things that have at most so many pairs out of order."""
    ways = [1]  # by number of inversions
    for size in range(1, count):
        ways = [sum(ways[max(0, i - size) : i + 1]) for i in range(len(ways) + size)]
    return sum(ways[: inversions + 1]) / factorial(count)


def said(rows: Sequence[Tree], agreement: Sequence[Tree]) -> str:
    """Say how far the ranking can be trusted."""
    count = len(rows)
    if not agreement:
        return (
            f"{count} backbones, too little measured of them for a rank correlation: the order of two is right by luck "
            "every other time. This cannot say whether the scores foretell anything."
        )
    most = max(each["backbones"] for each in agreement)
    if 1 / factorial(most) > TELLING:
        return (
            f"With {most} backbones even full agreement comes by luck in 1 of {factorial(most)} orders: this cannot "
            "say whether the scores foretell anything."
        )
    best = min(agreement, key=lambda each: each["p_permutation"])
    share = f"{100 * best['p_permutation']:.3g} %"
    often = f"an agreement as good as the best of these {len(agreement)} comes by luck in {share}"
    doubt = "which may well be luck" if best["p_permutation"] * len(agreement) > TELLING else "which is hardly luck"
    return f"With {most} backbones {often} of all orders, {doubt}."
