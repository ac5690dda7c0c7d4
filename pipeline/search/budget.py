"""What a search may cost, in trainings of the strategy's default recipe."""

from collections.abc import Sequence

from pipeline.config.strategies import Search, Strategy
from pipeline.search.trials import FinishedTrial, total_flops


def budget_flops(tried: Sequence[FinishedTrial], row: Strategy, search: Search) -> float | None:
    """Return the budget in FLOPs, priced by the first trial; None where there is no limit, or no trial has a price."""
    trainings = row.budget_in_trainings(search)
    one = _training_flops(tried, row)
    return None if trainings is None or one is None else trainings * one


def affordable(rounds: Sequence[Sequence[FinishedTrial]], row: Strategy, search: Search) -> bool:
    """Return whether the budget allows another round, if it costs no more than the most expensive of these.

    The first round always runs: without it there is no winner. What confirming the best trials costs is set aside.
    """
    tried = [t for finished in rounds for t in finished]
    budget, one = budget_flops(tried, row, search), _training_flops(tried, row)
    if budget is None or one is None:
        return True
    most = max(sum(t.outcome.cost.fit_flops for t in finished) for finished in rounds)
    return total_flops(tried) + most + (row.confirm or 0) * one <= budget


def _training_flops(tried: Sequence[FinishedTrial], row: Strategy) -> float | None:
    """Return what one training of the default recipe costs, feature passes included; None if no trial has an epoch.

    The first trial has that recipe. Where it was pruned, or trained by proxy, its cost is scaled to all epochs and to
    the pixels of the whole recipe's images. Where it failed at once, the next one stands in for it.
    """
    for t in tried:
        if t.outcome.epochs:
            full, cost = row.full_recipe(t.space), t.outcome.cost
            pixels = (full.image_size / t.recipe.image_size) ** 2
            epochs = full.epochs / len(t.outcome.epochs)
            return pixels * (sum(cost.passes.values()) + cost.fit_flops * epochs)
    return None
