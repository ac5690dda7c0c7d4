"""The sentence that ends a run."""

from collections.abc import Sequence

from pipeline.statistics.schema import Comparison
from pipeline.verdict.formatting import called, chance, flops, interval, listed, score, times
from pipeline.verdict.pairwise import cheapest, paired_difference, standing, train_flops


def conclusion_sentence(comparison: Comparison, recommended: str) -> str:
    """Say who is best on validation, whom it beats on test, what to use, and what that costs."""
    winner, metric = comparison.winner, comparison.metric
    best = comparison.strategies[winner].test[metric]
    scored = f"{score(best.mean, metric)} ({interval(best.ci, metric, comparison.confidence)})"
    head = f"{winner} is best on validation; on test its {called(metric)} is {scored}"
    others = comparison.ranked((name for name in comparison.strategies if name != winner), "test")
    if not others:
        return f"{head}. There is nothing to compare it with."
    found = standing(comparison, winner, others)
    parts = [
        f"it beats {_named(comparison, found.better_than)}" if found.better_than else "",
        f"it cannot be told from {_named(comparison, found.tied_with)}" if found.tied_with else "",
        f"there it is beaten by {_named(comparison, found.worse_than)}" if found.worse_than else "",
    ]
    advice = f"Use {recommended}"
    if recommended != winner:
        advice += ", the cheapest to train that no other is told to beat"
    if found.worse_than:
        advice = f"Validation and test disagree. {advice}"
    return f"{head}; {', '.join(filter(None, parts))}. {advice}: {_price(comparison, recommended)}."


def _named(comparison: Comparison, names: Sequence[str]) -> str:
    """List names with the winner's chance of being better than each, or the range of these where there are many."""
    chances = {name: paired_difference(comparison, comparison.winner, name).p_better for name in names}
    if len(names) <= 3:
        return listed([f"{name} ({chance(p)})" for name, p in chances.items()])
    ends = [chance(end(chances.values())) for end in (min, max)]
    last = ends[1].removeprefix("P = ").removeprefix("P ")
    return f"{listed(names)} ({ends[0]}{f' to {last}' if ends[0] != ends[1] else ''})"


def _price(comparison: Comparison, name: str) -> str:
    cheap = cheapest(comparison, comparison.strategies)
    price, least = train_flops(comparison, name), train_flops(comparison, cheap)
    if price <= least:
        return f"{flops(price)} of training, the least of all"
    return f"{flops(price)} of training, {times(price / max(least, 1))} that of {cheap}"
