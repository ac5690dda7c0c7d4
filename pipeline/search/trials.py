"""What a search consists of: trials, the rungs at which they are compared, and their outcomes."""

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.common.outcome import Outcome
from pipeline.config.recipe import Recipe

OBJECTIVE = "log_loss"  # on validation images; of few images it says more than accuracy does


@dataclass(frozen=True)
class Rung:
    """Trials that are trained together, up to a common epoch or to their end."""

    cohort: str  # a hash of the whole round that these trials come from, and of its rungs
    recipes: dict[int, Recipe]  # by trial number
    until: dict[int, int]  # the epoch to train to


@dataclass(frozen=True)
class FinishedTrial:
    """A trial that has ended, at its last epoch or before."""

    number: int
    state: str  # COMPLETE (trained to the end) or PRUNED
    recipe: Recipe
    space: dict[str, Any]  # the values chosen for this trial
    outcome: Outcome

    @property
    def value(self) -> float:
        """Return the objective after the last epoch; infinite if the loss became NaN."""
        return value_of(self.outcome)


def value_of(outcome: Outcome) -> float:
    """Return the objective after an outcome's last epoch; infinite if the loss became NaN."""
    return math.inf if outcome.failed or not outcome.epochs else outcome.epochs[-1].valid[OBJECTIVE]


def best(tried: list[FinishedTrial]) -> FinishedTrial:
    """Return the trial with the lowest objective among those trained to the end; of equals, the first."""
    return min((t for t in tried if t.state == "COMPLETE"), key=lambda t: (t.value, t.number))


def total_flops(tried: list[FinishedTrial]) -> int:
    """Return the FLOPs of a search: every fit, and each distinct feature pass once."""
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
    """Return the content of results/tune/<strategy>.json; `most` and `budget` limited the search."""
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
