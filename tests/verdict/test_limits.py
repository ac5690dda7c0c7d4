import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.common.errors import UserError
from pipeline.config.constraints import Constraints
from pipeline.verdict.decision import decide
from pipeline.verdict.limits import LimitCheck, check_classes, check_limits, loosen
from pipeline.verdict.sentences.limits import unmet_sentence
from tests.support.example import comparison, timings
from tests.support.worlds import limits, measured, worlds


def only(constraints, row=None, timing=None):
    strategy = comparison({"one": row or {}}).strategies["one"]
    (check,) = check_limits(Constraints(**constraints), strategy, timing)
    return check


def test_nothing_is_asked_by_default():
    compared = comparison()
    assert check_limits(Constraints(), compared.strategies["frozen"], None) == []
    assert decide(compared).admissible == sorted(compared.strategies)


def test_a_class_that_the_data_lacks_is_an_error_that_names_those_there_are():
    with pytest.raises(UserError, match=r"constraints\.min_recall: no class is called elm; the data has ash and oak"):
        check_classes(Constraints(min_recall={"ash": 0.5, "elm": 0.5}), ("ash", "oak"))
    with pytest.raises(UserError, match="elm"):
        decide(comparison(), Constraints(min_recall={"elm": 0.5}))


TIMING = timings(["one"])["one"]


@pytest.mark.parametrize(
    ("asked", "row", "reason"),
    [
        ({"train_flops": 3e12}, {"train_flops": 4e12}, "training cost is 4 T FLOPs, over the limit of 3 T FLOPs"),
        ({"train_minutes": 0.25}, {}, "training time is 0.5 minutes, over the limit of 0.25 minutes"),
        ({"latency_ms": 4}, {}, "latency is 5 ms, over the limit of 4 ms"),
        ({"latency_ms": 4.9996}, {}, "latency is 5 ms, over the limit of 4.9996 ms"),
        ({"model_mb": 5}, {"model_bytes": 13.5e6}, "model size is 13.5 MB, over the limit of 5 MB"),
        ({"min_accuracy": 0.9}, {"accuracy": 0.85},
         "accuracy is 85.0 %, below the limit of 90.0 % (so is its whole interval, 82.5 % to 87.5 %)"),
        ({"min_accuracy": 0.86}, {"accuracy": 0.85},
         "accuracy is 85.0 %, below the limit of 86.0 % (its interval, 82.5 % to 87.5 %, reaches the limit)"),
        ({"min_recall": {"oak": 0.7}}, {"recalls": {"oak": 0.5}},
         "recall of oak is 50.0 %, below the limit of 70.0 % (so is its whole interval, 46.0 % to 54.0 %)"),
    ],
)  # fmt: skip
def test_a_limit_that_is_missed_is_named_with_numbers(asked, row, reason):
    check = only(asked, row, TIMING)
    assert not check.met
    assert unmet_sentence(check) == reason


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ({"train_minutes": 5}, "training time"),
        ({"latency_ms": 10}, "latency"),
        ({"min_recall": {"ash": 0.5}}, "recall of ash"),
    ],
)
def test_what_was_not_measured_is_not_met_and_says_so(asked, what):
    strategy = comparison({"one": {}}).strategies["one"].model_copy(update={"classes": {}})
    (check,) = check_limits(Constraints(**asked), strategy, None)
    assert not check.met
    assert unmet_sentence(check).startswith(f"{what} was not measured (limit: ")
    assert loosen(Constraints(**asked), [check]) is None


def test_a_class_without_test_images_has_no_recall():
    strategy = comparison({"one": {}}).strategies["one"]
    none = strategy.classes["ash"].model_copy(update={"recall": None})
    strategy = strategy.model_copy(update={"classes": {**strategy.classes, "ash": none}})
    (check,) = check_limits(Constraints(min_recall={"ash": 0.5}), strategy, None)
    assert check.value is None


@pytest.mark.parametrize(
    ("ci", "lies"), [((0.7, 0.9), "above"), ((0.71, 0.9), "above"), ((0.6, 0.7), "across"), ((0.6, 0.69), "below")]
)
def test_an_interval_lies_above_below_or_across_the_limit(ci, lies):
    assert LimitCheck("min_accuracy", 0.7, 0.7, ci).lies == lies


@pytest.mark.parametrize("key", ["train_flops", "train_minutes", "latency_ms", "model_mb"])
@given(st.floats(1e-3, 1e15))
def test_a_loosened_limit_admits_and_has_three_digits(key, value):
    loosened = LimitCheck(key, value / 2, value).loosened()
    assert value <= loosened <= value * 1.011
    assert float(f"{loosened:.3g}") == loosened


@given(st.floats(0, 1, exclude_max=True))
def test_a_loosened_share_admits_or_is_dropped(value):
    loosened = LimitCheck("min_recall.a", 1.0, value).loosened()
    assert value - 0.00101 <= loosened <= value if loosened is not None else value < 0.001


@given(worlds(), limits())
def test_loosened_limits_admit_the_strategy_that_they_were_loosened_for(compared, constraints):
    timed = measured(compared)
    decision = decide(compared, constraints, timed)
    for name, found in decision.checks.items():
        looser = loosen(constraints, found)
        if looser is not None:
            assert name in decide(compared, looser, timed).admissible


LOOSER = st.sampled_from(["train_flops", "train_minutes", "latency_ms", "model_mb", "min_accuracy", "min_recall"])


@given(worlds(), limits(), LOOSER, st.floats(1, 10))
def test_loosening_a_limit_shuts_nobody_out(compared, constraints, key, factor):
    value = getattr(constraints, key)
    if key == "min_recall":
        looser = {name: share / factor for name, share in value.items()}
    else:
        looser = value and (value / factor if key.startswith("min_") else value * factor)
    after = decide(compared, constraints.model_copy(update={key: looser}), measured(compared))
    assert set(decide(compared, constraints, measured(compared)).admissible) <= set(after.admissible)


@given(worlds(), limits(), LOOSER)
def test_dropping_a_limit_shuts_nobody_out(compared, constraints, key):
    after = constraints.model_copy(update={key: Constraints.model_fields[key].get_default(call_default_factory=True)})
    before = decide(compared, constraints, measured(compared)).admissible
    assert set(before) <= set(decide(compared, after, measured(compared)).admissible)
