"""The sentences that end a run."""

from collections.abc import Sequence

from pipeline.statistics.schema import Comparison
from pipeline.verdict.formatting import called, chance, flops, interval, listed, score, times
from pipeline.verdict.pairwise import cheapest, paired_difference, standing, train_flops, unbeaten


def conclusion_sentence(comparison: Comparison, recommended: str) -> str:
    """Say which strategy is best on validation, how it compares on test, which one to use, and what that costs."""
    winner, metric = comparison.winner, comparison.metric
    best = comparison.strategies[winner].test[metric]
    scored = f"{score(best.mean, metric)} ({interval(best.ci, metric, comparison.confidence)})"
    others = comparison.ranked((name for name in comparison.strategies if name != winner), "test")
    if not others:
        return f"{winner} is the only strategy compared; on test its {called(metric)} is {scored}."
    first = f"{winner} has the best validation score; on test its {called(metric)} is {scored}."
    return " ".join([first, *_differences(comparison, others), _advice(comparison, recommended)])


def _differences(comparison: Comparison, others: Sequence[str]) -> list[str]:
    """Say how the winner compares with the others on test, a sentence for each result of the test."""
    winner, said = comparison.winner, []
    found = standing(comparison, winner, others)
    if names := found.better_than:
        said.append(f"It is significantly better than {listed(names)} ({_chances(comparison, names)}).")
    if names := found.tied_with:
        doubt = f"{_chances(comparison, names)} that {winner} is better"
        if len(names) == 1:
            said.append(f"The difference from {names[0]} is not significant ({doubt}).")
        else:
            said.append(f"The differences from {listed(names)} are not significant ({doubt}).")
    if names := found.worse_than:
        doubt = f"{_chances(comparison, names)} that {winner} is better"
        said.append(
            f"But validation and test disagree: on test it is significantly worse than {listed(names)} ({doubt})."
        )
    return said


def _chances(comparison: Comparison, names: Sequence[str]) -> str:
    """Return the winner's probability of being better than each of some others; of many, the range of these."""
    chances = sorted(paired_difference(comparison, comparison.winner, name).p_better for name in names)
    shown = [chance(p) for p in chances]
    if shown[0] == shown[-1]:
        return shown[0]
    if len(names) <= 3:
        return listed([chance(paired_difference(comparison, comparison.winner, name).p_better) for name in names])
    return f"{shown[0]} to {shown[-1].removeprefix('P = ').removeprefix('P ')}"


def _advice(comparison: Comparison, recommended: str) -> str:
    """Say which strategy to use, and what a training of it costs."""
    price = _price(comparison, recommended)
    if recommended == comparison.winner:
        return f"Use {recommended}: {price}."
    if len(unbeaten(comparison, comparison.strategies)) == 1:
        return f"Use {recommended}, the only strategy that no other significantly outperforms: {price}."
    return f"Use {recommended}, the cheapest to train of the strategies that none significantly outperforms: {price}."


def _price(comparison: Comparison, name: str) -> str:
    cheap = cheapest(comparison, comparison.strategies)
    price, least = train_flops(comparison, name), train_flops(comparison, cheap)
    if price <= least:
        return f"{flops(price)} per training, the least of all"
    return f"{flops(price)} per training, {times(price / max(least, 1))} as many as {cheap}"
