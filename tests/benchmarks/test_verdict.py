import numpy as np
import pytest

from benchmarks.verdict import RULES, cell, picks, reliability, summarise


def test_each_rule_takes_what_it_says():
    scores, costs = np.array([0.80, 0.83, 0.801]), np.array([1.0, 3.0, 9.0])
    taken, found = picks(scores, np.array([0.8, 0.7, 0.9]), costs, 0.002)
    assert list(taken) == list(RULES)
    assert taken == {"this": 1, "significance": 1, "one error": 1, "best on test": 1, "best on validation": 2,
                     "cheapest": 0, "dearest": 2}  # fmt: skip
    assert found.kept.tolist() == [True, True, False]


def test_a_simulation_is_the_same_each_time_and_is_summed_up():
    one, again = (cell(3, 0.01, 0.015, 20, 0) for _ in range(2))
    assert one == again
    found = summarise([one], [])
    assert found["mean_regret_points"] == one["rules"]["this"]["mean_regret_points"] < 1
    assert 0.7 <= found["least_coverage"] <= 1


def test_reliability_is_by_bins_of_what_was_said():
    (low, high) = reliability([(0.12, False), (0.18, False), (0.95, True), (0.97, False)])
    assert (low["said"], low["true"], low["count"]) == (pytest.approx(0.15), 0.0, 2)
    assert (high["true"], high["count"]) == (0.5, 2)
