import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from pipeline.config.metric_names import METRICS
from pipeline.verdict.at_size import at_images, holm, sizes, timings_at
from pipeline.verdict.pairwise import lead
from tests.support.example import comparison, timings
from tests.support.worlds import worlds


def test_the_sizes_are_those_that_every_strategy_has():
    compared = comparison()
    assert sizes(compared) == [160, 400, 800, 1600]
    del compared["strategies"]["frozen"]["curve"][1]
    compared["strategies"]["scratch"]["curve"][2]["images"] = None
    assert sizes(compared) == [160, 1600]
    del compared["strategies"]["scratch"]["curve"]
    assert sizes(compared) == []


@pytest.mark.parametrize("images", [1600, 1601, 10**6])
def test_with_all_images_or_more_nothing_is_changed(images):
    compared = comparison()
    assert at_images(compared, images) is compared


@pytest.mark.parametrize(("images", "point"), [(1, 0), (160, 0), (400, 1), (800, 2)])
def test_at_a_measured_size_scores_and_cost_are_the_measured_ones(images, point):
    compared = comparison()
    for name, strategy in at_images(compared, images)["strategies"].items():
        measured = compared["strategies"][name]["curve"][point]
        assert strategy["cost"]["train_flops"] == measured["train_flops"]
        for metric in METRICS:
            assert strategy["test"][metric]["mean"] == pytest.approx(measured[metric]["mean"])
            assert strategy["test"][metric]["ci95"] == pytest.approx(measured[metric]["ci95"])


def test_between_two_sizes_scores_follow_the_logarithm_and_cost_the_count():
    found = at_images(comparison(), 566)["strategies"]["frozen"]  # halfway from 400 to 800 by the logarithm
    assert found["test"]["accuracy"]["mean"] == pytest.approx(0.864 - 0.03, abs=1e-4)
    assert found["cost"]["train_flops"] == pytest.approx(2e12 * (0.2 + 0.8 * 566 / 1600))


def test_what_the_curves_do_not_hold_is_left_out():
    found = at_images(comparison(), 500)["strategies"]["frozen"]
    assert found["classes"] == {}
    assert found["valid"] == found["test"]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("slope", "told"), [(0.2, True), (0.0, False)])
def test_a_difference_between_curves_is_told_where_it_is_wide(metric, slope, told):
    compared = comparison({"a": {"slope": slope}, "b": {"slope": 0.0}}, metric=metric)
    found = lead(at_images(compared, 400), "b", "a")
    assert found.told == told
    assert found.gain == pytest.approx(2 * slope)
    assert found.chance == pytest.approx(1.0 if told else 0.5, abs=1e-3)


def test_intervals_taken_for_independent_widen_the_difference():
    compared = comparison({"a": {}, "b": {}}, reach=0.03)
    assert lead(at_images(compared, 400), "a", "b").ci95 == pytest.approx((-0.03 * 2**0.5, 0.03 * 2**0.5))


@pytest.mark.parametrize("slope", [0.0, 0.1])
def test_scores_without_spread_are_told_apart_if_they_differ(slope):
    found = lead(at_images(comparison({"a": {"slope": slope}, "b": {"slope": 0}}, reach=0.0), 400), "b", "a")
    assert found.told == (slope > 0)


@given(worlds(), st.integers(1, 1600))
def test_a_projection_lies_between_the_ends_of_the_curve(compared, images):
    found = at_images(compared, images)
    for name, strategy in found["strategies"].items():
        ends = [compared["strategies"][name]["curve"][i]["accuracy"]["mean"] for i in (0, -1)]
        assert min(ends) - 1e-9 <= strategy["test"]["accuracy"]["mean"] <= max(ends) + 1e-9


def test_seconds_shrink_as_flops_do():
    compared, timed = comparison(), {**timings(["frozen", "scratch"]), "scratch": {"train": None}}
    found = timings_at(timed, compared, at_images(compared, 160))
    assert found["frozen"]["train"]["seconds_per_training"] == pytest.approx(30 * 0.28)
    assert found["frozen"]["latency_ms"] == timed["frozen"]["latency_ms"]
    assert found["scratch"] == {"train": None}


def test_holm_is_as_published():
    # 0.01 x 4, 0.02 x 3, 0.03 x 2 and, since no smaller p-value may be less adjusted, 0.06 again.
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_is_between_no_correction_and_bonferroni_and_not_laxer_than_hochbergs_rate(p):
    adjusted = holm(p)
    assert all(a <= b <= min(1, len(p) * a) + 1e-12 for a, b in zip(p, adjusted))
    assert all(a >= b - 1e-12 for a, b in zip(adjusted, false_discovery_control(p)))
    assert sorted(range(len(p)), key=lambda i: (p[i], i)) == sorted(range(len(p)), key=lambda i: (adjusted[i], p[i], i))
