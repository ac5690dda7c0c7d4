import pytest

from pipeline.config.strategies import Strategy
from pipeline.search.arm_plan import arm_plan
from pipeline.search.forecast import BESIDE
from tests.support.workloads import COUNTS, ROW, costs, work


def test_the_steps_are_summed_up():
    steps = work()
    found = arm_plan(Strategy(**ROW), steps, costs, costs, workers=1)
    assert (found.trials, found.trainings, found.units) == (4, 7, 11)
    assert found.epochs == 4 * 8 + 4 * 8 + 3 * 16
    assert found.flops == sum(step.cost(costs) for step in steps)
    assert found.hours == pytest.approx((found.flops + sum(BESIDE.values())) / 3600)
    assert found.clock_hours == pytest.approx(found.hours)
    assert found.cache_bytes == 10 * (4 * COUNTS.dev + 2 * COUNTS.test)
    assert found.study_rows == 4 * (4 + 1 + 8)


def test_more_workers_take_less_time_and_as_many_operations():
    one, many = (arm_plan(Strategy(**ROW), work(), costs, costs, workers) for workers in (1, 50))
    assert many.clock_hours < one.clock_hours
    assert many.hours == one.hours
