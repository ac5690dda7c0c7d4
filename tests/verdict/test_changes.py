import pytest
from hypothesis import given

from pipeline.config.constraints import Constraints
from pipeline.verdict.changes import CurvesCross, FewerImages, LooserLimits, OtherAim, changes
from pipeline.verdict.decision import decide
from tests.support.example import comparison, timings
from tests.support.worlds import limits, measured, worlds

CHEAP, DEAR = {"train_flops": 1e12}, {"train_flops": 4e12}
TIED = {"a": CHEAP | {"accuracy": 0.86}, "b": DEAR | {"accuracy": 0.87}}
APART = {"a": CHEAP | {"accuracy": 0.8}, "b": DEAR | {"accuracy": 0.9}}
AHEAD = {"a": CHEAP | {"accuracy": 0.9}, "b": DEAR | {"accuracy": 0.8}}
BEYOND = {"outcome": "beyond", "leader": "a", "overtaker": "b", "images": 6400.0, "ci": [4000.0, 12000.0],
          "crossings": 1}  # fmt: skip
INSIDE = BEYOND | {"outcome": "inside", "overtaker": "a", "images": 800.0, "ci": [500.0, 900.0]}


def found(rows, constraints=None, crossing=None, **kwargs):
    crossings = {("a", "b"): crossing} if crossing else None
    compared = comparison(rows, crossings=crossings, **kwargs)
    return changes(decide(compared, Constraints(**(constraints or {})), timings("ab")))


@pytest.mark.parametrize(
    ("crossing", "images", "sides"),
    [
        (BEYOND, None, ["more"]),
        (BEYOND, 800, ["more"]),
        (BEYOND, 3200, ["unmeasured"]),
        (BEYOND | {"overtaker": "a"}, None, []),  # it was overtaken already
        (INSIDE, None, ["fewer"]),
        (INSIDE | {"overtaker": "b"}, None, []),
        (None, None, []),
        (None, 3200, ["unmeasured"]),
    ],
)
def test_curves_matter_where_the_other_would_be_level(crossing, images, sides):
    crossed = [each for each in found(AHEAD, {"images": images}, crossing) if isinstance(each, CurvesCross)]
    assert [each.side for each in crossed] == sides
    assert {each.other for each in crossed} <= {"b"}


def test_a_strategy_that_is_shut_out_has_no_curve_that_matters():
    assert found(AHEAD, {"train_flops": 2e12}, BEYOND) == []


def test_of_fewer_images_the_largest_measured_size_with_other_advice_counts():
    rows = {"a": CHEAP | {"accuracy": 0.8, "slope": 0.0}, "b": DEAR | {"accuracy": 0.9, "slope": 0.1}}
    assert found(rows) == [FewerImages(800, "a"), OtherAim("a", "training_cost")]


def test_of_one_size_no_other_is_named():
    assert found(AHEAD, fractions=(1.0,)) == []


def test_a_looser_limit_matters_where_it_brings_in_the_recommended_one_or_one_that_is_ahead():
    (change,) = found(APART, {"latency_ms": 7})
    assert isinstance(change, LooserLimits)
    assert (change.strategy, change.recommended, [check.key for check in change.limits]) == ("b", True, ["latency_ms"])
    (ahead,) = found(TIED, {"latency_ms": 7})
    assert (ahead.strategy, ahead.recommended) == ("b", False)
    assert found({"a": CHEAP | {"accuracy": 0.9}, "b": DEAR | {"accuracy": 0.8}}, {"latency_ms": 7}) == []


def test_another_aim_leads_to_the_best_on_validation_or_to_the_cheapest():
    assert found(TIED) == [OtherAim("b", "score")]
    assert found(APART) == [OtherAim("a", "training_cost")]
    assert found({"a": CHEAP}) == []


@given(worlds(), limits())
def test_no_change_names_the_recommended_strategy(compared, constraints):
    decision = decide(compared, constraints, measured(compared))
    for change in changes(decision):
        name = change.other if isinstance(change, CurvesCross) else change.strategy
        assert name in compared.strategies
        assert name != decision.recommended
