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
    assert raw["schema_version"] == 1


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
