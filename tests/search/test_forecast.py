import pytest

from pipeline.search.forecast import BESIDE, forecast
from tests.support.workloads import costs, work


def test_the_stages_take_what_their_units_do_and_more_beside():
    steps = work()
    found = forecast(steps, costs)
    for stage in ("tune", "train", "race"):
        own = sum(step.cost(costs) for step in steps if step.stage == stage)
        assert getattr(found, stage) == pytest.approx(own + BESIDE[stage])
    assert found.whole == found.tune + found.train + found.race


def test_without_a_race_nothing_is_forecast_for_it():
    assert forecast(work(seeds=(1, 2)), costs).race == 0
