"""What the run of a strategy takes, before it is run: units, operations, hours, disk, and what is recorded of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.config.strategies import Strategy
from pipeline.search.forecast import BESIDE
from pipeline.search.study import rows_of_trial
from pipeline.search.workload import CostsOf, Step


@dataclass(frozen=True)
class ArmPlan:
    """What a strategy takes at most: nobody is stopped by the race, and the costliest recipe wins."""

    trials: int  # those that confirm included
    trainings: int  # after them, with the seeds and the shares of the images
    units: int  # that are given out; heads that are trained side by side are one
    epochs: int  # that are recorded of all of these
    flops: float
    hours: float  # of processors, or of GPUs, that compute
    clock_hours: float
    cache_bytes: float
    study_rows: int


def arm_plan(row: Strategy, work: Sequence[Step], flops_of: CostsOf, seconds_of: CostsOf, workers: int) -> ArmPlan:
    """Sum up the steps of a strategy's run with so many workers."""
    values = row.default_values()
    trials, again = sum(step.trials for step in work), row.confirm or 0
    by_trial = [row.proxy_recipe(values).epochs] * (trials - again) + [row.full_recipe(values).epochs] * again
    trained = [unit.epochs for step in work if step.stage != "tune" for unit in step.units]
    beside = sum(BESIDE[stage] for stage in {step.stage for step in work})
    return ArmPlan(
        trials=trials,
        trainings=len(trained),
        units=sum(len(step.units) for step in work),
        epochs=sum(by_trial) + sum(trained),
        flops=sum(step.cost(flops_of) for step in work),
        hours=(beside + sum(step.cost(seconds_of) for step in work)) / 3600,
        clock_hours=(beside + sum(step.seconds(seconds_of, workers) for step in work)) / 3600,
        cache_bytes=sum(each.stored for step in work for each in step.passes),
        study_rows=sum(rows_of_trial(len(row.space), epochs) for epochs in by_trial),
    )
