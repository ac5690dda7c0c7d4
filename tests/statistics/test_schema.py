import pytest
from hypothesis import given

from pipeline.config.metric_names import METRICS
from pipeline.statistics.schema import SEPARATIONS, Comparison
from tests.support.example import TRANSFER, comparison
from tests.support.worlds import worlds


@given(worlds())
def test_a_comparison_is_the_same_after_it_was_written_and_read(compared):
    raw = compared.model_dump(mode="json")
    assert Comparison.model_validate(raw) == compared
    assert raw["schema_version"] == 2


@pytest.mark.parametrize("metric", METRICS)
def test_the_better_is_ranked_first_whatever_the_metric_and_equals_by_name(metric):
    rows = {"c": {"accuracy": 0.8}, "b": {"accuracy": 0.9}, "a": {"accuracy": 0.8, "valid": 0.95}}
    compared = comparison(rows, metric=metric)
    assert compared.ranked("abc", "test") == ["b", "a", "c"]
    assert compared.ranked("abc", "valid") == ["a", "b", "c"]
    assert compared.goodness("b", "test") > compared.goodness("a", "test")


def test_strategies_are_known_by_kind_the_best_on_validation_first_and_controls_are_of_none():
    rows = {"one": {"valid": 0.7}, "two": {"valid": 0.9}, "three": {"cut": 3}, "control": {"weights": "random"}}
    assert comparison(rows).by_kind() == {"heads": ["two", "one"], "tuned": ["three"]}


def test_features_and_pixels_are_measured_alike():
    transfer = comparison().strategies["frozen"].transfer
    assert transfer.features == {name: TRANSFER[name] for name in SEPARATIONS}
    assert transfer.pixels == {name: TRANSFER[f"pixels_{name}"] for name in SEPARATIONS}


def with_valid_counts(compared, counts):
    dataset = compared.dataset.model_copy(update={"counts": {**compared.dataset.counts, "valid": counts}})
    return compared.model_copy(update={"dataset": dataset})


def test_the_gain_is_measured_against_always_naming_the_commonest_class():
    compared = with_valid_counts(comparison({"a": {"accuracy": 0.9}}), {"ash": 30, "oak": 10})
    assert compared.gain_over_majority("a") == pytest.approx(0.15)


def test_where_balanced_accuracy_decides_naming_one_class_is_right_of_one_class_in_all():
    compared = comparison({"a": {"accuracy": 0.97}}, metric="balanced_accuracy")  # 0.95 of it balanced
    compared = with_valid_counts(compared, {"ash": 97, "oak": 2, "yew": 1, "fir": 1})
    assert compared.gain_over_majority("a") == pytest.approx(0.7)
