"""What a search consists of: trials, the rungs at which they are compared, and their outcomes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.common.outcome import Outcome
from pipeline.config.metric_names import LOG_LOSS
from pipeline.config.recipe import Recipe

COMPLETE, PRUNED, CONFIRMED = "COMPLETE", "PRUNED", "CONFIRMED"


@dataclass(frozen=True)
class Rung:
    """Trials that are trained together, up to a common epoch or to their end."""

    cohort: str  # a hash of the whole round that these trials come from, and of its rungs
    recipes: dict[int, Recipe]  # by trial number
    until: dict[int, int]  # the epoch to train to
    objective: str = LOG_LOSS  # by which they are ranked, on validation
    size: float = 1.0  # of one of these trainings, in those of the search's other trials: for the progress alone


@dataclass(frozen=True)
class FinishedTrial:
    """A trial that has ended, at its last epoch or before."""

    number: int
    state: str  # COMPLETE (trained to the end), PRUNED, or CONFIRMED (trained again, with the whole recipe)
    recipe: Recipe
    space: dict[str, Any]  # the values chosen for this trial
    outcome: Outcome
    objective: str = LOG_LOSS
    confirms: int | None = None  # the trial with the same values that was trained by proxy

    @property
    def value(self) -> float:
        """Return the objective after the last epoch; infinite if the loss became NaN."""
        return value_of(self.outcome, self.objective)


def value_of(outcome: Outcome, objective: str) -> float:
    """Return the objective after an outcome's last epoch; infinite if the loss became NaN."""
    return math.inf if outcome.failed or not outcome.epochs else outcome.epochs[-1].valid[objective]


def ranked(tried: Sequence[FinishedTrial], state: str) -> list[FinishedTrial]:
    """Return the trials in a state by their objective, the best first; of equals, the earlier first."""
    return sorted((t for t in tried if t.state == state), key=lambda t: (t.value, t.number))


def best(tried: Sequence[FinishedTrial]) -> FinishedTrial:
    """Return the trial with the lowest objective among those confirmed, or else among those trained to the end."""
    return [*ranked(tried, CONFIRMED), *ranked(tried, COMPLETE)][0]


def total_flops(tried: Sequence[FinishedTrial]) -> int:
    """Return the FLOPs of a search: every fit, and each distinct feature pass once."""
    passes: dict[str, int] = {}
    for t in tried:
        passes.update(t.outcome.cost.passes)
    return sum(passes.values()) + sum(t.outcome.cost.fit_flops for t in tried)


def table(tried: Sequence[FinishedTrial]) -> pd.DataFrame:
    """Return a row per trial: number, state, which it confirms, value, epochs trained, FLOPs, and the values chosen."""
    rows = [
        {
            "trial": t.number,
            "state": t.state,
            "confirms": t.confirms,
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
    found = pd.DataFrame(rows).astype({"confirms": "Int64"})
    return found if found["confirms"].notna().any() else found.drop(columns="confirms")


def document(tried: Sequence[FinishedTrial], strategy: str, most: int, budget_flops: float | None) -> dict[str, Any]:
    """Return the content of results/tune/<strategy>.json; `most` trials and `budget_flops` limited the search."""
    winner, states = best(tried), [t.state for t in tried]
    return {
        "strategy": strategy,
        "recipe": winner.recipe,
        "best_trial": winner.number,
        "objective": winner.objective,
        "value": winner.value,
        "trials": {state: states.count(state) for state in sorted(set(states))},
        "search_flops": total_flops(tried),
        "budget_flops": budget_flops,
        "ended_by": "trials" if sum(t.confirms is None for t in tried) == most else "budget",
    }
