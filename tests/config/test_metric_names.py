import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.metric_names import METRICS, objective, resolve_metric


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 400), min_size=2, max_size=6))
def test_balanced_accuracy_decides_where_one_class_has_ten_times_the_images_of_another(counts):
    uneven = max(counts.values()) >= 10 * min(counts.values())
    assert resolve_metric("auto", counts) == ("balanced_accuracy" if uneven else "accuracy")


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_that_is_named_decides_whatever_the_classes(metric):
    assert resolve_metric(metric, {"a": 1000, "b": 1}) == metric


def test_a_search_minimises_what_the_deciding_metric_rewards():
    assert {metric: objective(metric) for metric in METRICS} == dict.fromkeys(METRICS, "log_loss") | {
        "balanced_accuracy": "balanced_log_loss"
    }
