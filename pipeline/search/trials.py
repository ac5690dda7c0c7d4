"""What a search is made of: trials, the rungs they climb, and what came of them."""

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.common.outcome import Outcome
from pipeline.config.recipe import Recipe

OBJECTIVE = "log_loss"  # on validation images; it tells more of few images than accuracy does


@dataclass(frozen=True)
class Rung:
    """Trials to be trained up to one epoch together."""

    cohort: str  # a hash of the whole round these trials come from, and of how it is thinned out
    recipes: dict[int, Recipe]  # by trial number
    until: dict[int, int]  # the epoch to train to


@dataclass(frozen=True)
class FinishedTrial:
    """A trial that is over, trained to the end or not."""

    number: int
    state: str  # COMPLETE (trained to the end) or PRUNED
    recipe: Recipe
    space: dict[str, Any]  # the values chosen for this trial
    outcome: Outcome

    @property
    def value(self) -> float:
        """Return the objective after the last epoch; infinite where the loss was no number."""
        return value_of(self.outcome)


def value_of(outcome: Outcome) -> float:
    """Return the objective after an outcome's last epoch; infinite where the loss stopped being a number."""
    return math.inf if outcome.failed or not outcome.epochs else outcome.epochs[-1].valid[OBJECTIVE]


def best(tried: list[FinishedTrial]) -> FinishedTrial:
    """Return the trial with the lowest objective among those trained to the end; the first of equals."""
    return min((t for t in tried if t.state == "COMPLETE"), key=lambda t: (t.value, t.number))


def total_flops(tried: list[FinishedTrial]) -> int:
    """Return what a search costs: every fit, and each different feature pass once."""
    passes: dict[str, int] = {}
    for t in tried:
        passes.update(t.outcome.cost.passes)
    return sum(passes.values()) + sum(t.outcome.cost.fit_flops for t in tried)


def table(tried: list[FinishedTrial]) -> pd.DataFrame:
    """Return a row per trial: number, state, value, epochs trained, FLOPs, and the values chosen."""
    rows = [
        {
            "trial": t.number,
            "state": t.state,
            "value": t.value,
            "epochs": len(t.outcome.epochs),
            "flops": t.outcome.cost.fit_flops,
            **{
                f"valid_{name}": score
                for name, score in (t.outcome.epochs[-1].valid if t.outcome.epochs else {}).items()
            },
            **t.space,
            "failed": t.outcome.failed,
        }
        for t in tried
    ]
    return pd.DataFrame(rows)


def document(tried: list[FinishedTrial], strategy: str, most: int, budget: float | None) -> dict[str, Any]:
    """Return what results/tune/<strategy>.json holds, of a search of at most so many trials within a budget."""
    winner, states = best(tried), [t.state for t in tried]
    return {
        "strategy": strategy,
        "recipe": winner.recipe,
        "best_trial": winner.number,
        "objective": OBJECTIVE,
        "value": winner.value,
        "trials": {state: states.count(state) for state in sorted(set(states))},
        "search_flops": total_flops(tried),
        "budget_flops": budget,
        "ended_by": "trials" if len(tried) == most else "budget",
    }
