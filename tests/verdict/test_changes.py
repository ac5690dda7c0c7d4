import pytest
from hypothesis import given

from pipeline.config.constraints import Constraints
from pipeline.verdict.changes import CurvesCross, FewerImages, LooserLimits, MoreTesting, OtherWorth, changes
from pipeline.verdict.decision import decide
from pipeline.verdict.rule import recommend
from tests.support.example import comparison, timings
from tests.support.worlds import limits, measured, worlds

CHEAP, DEAR = {"train_flops": 1e12}, {"train_flops": 4e12}
TIED = {"a": CHEAP | {"accuracy": 0.869}, "b": DEAR | {"accuracy": 0.87}}
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
    worth, fewer = found(rows)
    assert (worth.strategy, worth.side, fewer) == ("a", "more", FewerImages(800, "a"))


def test_of_one_size_no_other_is_named():
    assert found(AHEAD, fractions=(1.0,)) == []


def test_a_looser_limit_matters_where_it_brings_in_the_recommended_one_or_one_that_is_ahead():
    (change,) = found(APART, {"latency_ms": 7})
    assert isinstance(change, LooserLimits)
    assert (change.strategy, change.recommended, [check.key for check in change.limits]) == ("b", True, ["latency_ms"])
    (ahead,) = found(TIED, {"latency_ms": 7})
    assert (ahead.strategy, ahead.recommended) == ("b", False)
    assert found({"a": CHEAP | {"accuracy": 0.9}, "b": DEAR | {"accuracy": 0.8}}, {"latency_ms": 7}) == []


def test_where_more_or_less_matters_another_is_recommended():
    less, testing = found(TIED)
    assert (less.strategy, less.side) == ("b", "less")
    assert recommend(comparison(TIED, worth=less.worth * 0.999)) == "b"
    assert recommend(comparison(TIED, worth=less.worth * 1.001)) == "a"
    assert (testing.strategy, testing.needed.test_images > 1) == ("b", True)
    (more,) = found(APART)
    assert (more.strategy, more.side) == ("a", "more")
    assert recommend(comparison(APART, worth=more.worth * 0.999)) == "b"
    assert recommend(comparison(APART, worth=more.worth * 1.001)) == "a"
    assert found({"a": CHEAP}) == []


@given(worlds(), limits())
def test_no_change_names_the_recommended_strategy(compared, constraints):
    decision = decide(compared, constraints, measured(compared))
    for change in changes(decision):
        name = change.other if isinstance(change, CurvesCross) else change.strategy
        assert name in compared.strategies
        assert name != decision.recommended
        assert isinstance(change, CurvesCross | FewerImages | LooserLimits | MoreTesting | OtherWorth)
