import pytest

from pipeline.verdict.pairwise import paired_difference
from pipeline.verdict.sentences.difference import distance, price_ratio, score_change
from tests.support.example import comparison

ROWS = {"a": {"accuracy": 0.8, "train_flops": 1e12}, "b": {"accuracy": 0.9, "train_flops": 4e12}}
ENDS = {"accuracy": "8.2 to 11.8", "log_loss": "0.082 to 0.118"}


@pytest.mark.parametrize(
    ("metric", "name", "size", "side"),
    [("accuracy", "b", "10.0 points", ("ahead", "higher")), ("accuracy", "a", "10.0 points", ("behind", "lower")),
     ("log_loss", "b", "0.100", ("ahead", "lower")), ("log_loss", "a", "0.100", ("behind", "higher"))],
)  # fmt: skip
def test_a_difference_has_a_size_a_direction_and_an_interval_in_that_direction(metric, name, size, side):
    compared = comparison(ROWS, metric=metric)
    found = paired_difference(compared, name, "b" if name == "a" else "a")
    assert distance(found, compared) == f"{size} {side[0]} (95 % CI {ENDS[metric]}; corrected p < 0.001)"
    words = metric.replace("_", " ")
    assert score_change(found, compared) == f"{size} {side[1]} {words} (95 % CI {ENDS[metric]})"


def test_equal_scores_are_the_same():
    compared = comparison({"a": {}, "b": {}})
    assert score_change(paired_difference(compared, "a", "b"), compared) == "the same accuracy"


def test_a_cost_is_a_ratio():
    compared = comparison(ROWS)
    assert price_ratio(compared, "b", "a") == "4.0 times as much"
    assert price_ratio(compared, "a", "b") == "0.25 times as much"
