"""What the search, the trainings and the race of a strategy will take in processor time, before they are run."""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.search.workload import CostsOf, Step

# CPU-seconds that a stage takes beside its units, for each strategy: libraries, MLflow, the exported model's latency.
BESIDE = {"tune": 12.0, "train": 25.0, "race": 6.0}


@dataclass(frozen=True)
class Forecast:
    """CPU-seconds that the stages of a strategy will take at most, by stage."""

    tune: float
    train: float
    race: float

    @property
    def whole(self) -> float:
        """Return their sum."""
        return self.tune + self.train + self.race


def forecast(steps: Iterable[Step], seconds_of: CostsOf) -> Forecast:
    """Return the forecast of a strategy's steps, by what an image costs under each recipe, in seconds.

    It is an upper end: nobody is stopped by the race, and the costliest recipe wins.
    """
    found = dict.fromkeys(BESIDE, 0.0)
    for step in steps:
        found[step.stage] = (found[step.stage] or BESIDE[step.stage]) + step.cost(seconds_of)
    return Forecast(**found)
