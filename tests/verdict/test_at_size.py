import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.metric_names import METRICS
from pipeline.statistics.joint_scores import at_size
from pipeline.verdict.at_size import at_images, sizes, timings_at
from pipeline.verdict.pairwise import paired_difference
from pipeline.verdict.rule import belief
from tests.support.example import changed, comparison, timings
from tests.support.worlds import worlds


def test_the_sizes_are_those_that_every_strategy_has():
    compared = comparison()
    assert sizes(compared) == [160, 400, 800, 1600]
    curve = compared.strategies["frozen"].curve
    assert sizes(changed(compared, "frozen", curve=(curve[0], *curve[2:]))) == [160, 800, 1600]


def test_with_all_images_nothing_is_changed():
    compared = comparison()
    assert at_images(compared, 1600) is compared


@pytest.mark.parametrize("images", [1601, 10**6])
def test_with_more_images_scores_without_a_fitted_curve_stay_and_training_costs_more(images):
    compared = comparison()
    found = at_images(compared, images)
    for name, strategy in found.strategies.items():
        assert strategy.test == compared.strategies[name].test
        assert strategy.cost.train_flops == round(compared.strategies[name].cost.train_flops * images / 1600)
    assert found.joint.means == at_size(compared.joint).means


@pytest.mark.parametrize(("images", "point"), [(1, 0), (160, 0), (400, 1), (800, 2)])
def test_at_a_measured_size_scores_and_cost_are_the_measured_ones(images, point):
    compared = comparison()
    for name, strategy in at_images(compared, images).strategies.items():
        measured = compared.strategies[name].curve[point]
        assert strategy.cost.train_flops == measured.train_flops
        for metric in METRICS:
            assert strategy.test[metric].mean == pytest.approx(measured.scores[metric].mean)
            assert strategy.test[metric].ci == pytest.approx(measured.scores[metric].ci)
            assert strategy.test[metric].per_seed == pytest.approx(measured.scores[metric].per_seed)


def test_between_two_sizes_scores_follow_the_logarithm_and_cost_the_count():
    found = at_images(comparison(), 566).strategies["frozen"]  # halfway from 400 to 800 by the logarithm
    assert found.test["accuracy"].mean == pytest.approx(0.864 - 0.03, abs=1e-4)
    assert found.cost.train_flops == pytest.approx(2e12 * (0.2 + 0.8 * 566 / 1600))


def test_what_the_curves_do_not_hold_is_left_out():
    found = at_images(comparison(), 500).strategies["frozen"]
    assert found.classes == {}
    assert found.valid == found.test


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("slope", "significant"), [(0.2, True), (0.0, False)])
def test_a_difference_between_curves_is_significant_where_it_is_wide(metric, slope, significant):
    compared = comparison({"a": {"slope": slope}, "b": {"slope": 0.0}}, metric=metric)
    found = paired_difference(at_images(compared, 400), "b", "a")
    assert found.significant == significant
    assert found.gain == pytest.approx(2 * slope)
    assert found.p_better == pytest.approx(1.0 if significant else 0.5, abs=1e-3)


def test_the_interval_of_a_difference_is_that_of_the_paired_predictions():
    compared = comparison({"a": {}, "b": {}}, reach=0.03)
    assert paired_difference(at_images(compared, 400), "a", "b").ci == pytest.approx((-0.018, 0.018))


@given(worlds(), st.integers(160, 1598))
def test_one_training_image_more_or_less_moves_no_probability_by_much(compared, images):
    own = belief(compared).recommended
    before, after = (belief(at_images(compared, n)) for n in (images, images + 1))
    for name in compared.strategies:
        if name != own:
            assert abs(after.standing(name, own).p_better - before.standing(name, own).p_better) < 0.02


@pytest.mark.parametrize("slope", [0.0, 0.1])
def test_scores_without_spread_differ_significantly_if_they_differ(slope):
    found = paired_difference(
        at_images(comparison({"a": {"slope": slope}, "b": {"slope": 0}}, paired=1e-12), 400), "b", "a"
    )
    assert found.significant == (slope > 0)


@given(worlds(), st.integers(1, 1600))
def test_a_projection_lies_between_the_ends_of_the_curve(compared, images):
    found = at_images(compared, images)
    for name, strategy in found.strategies.items():
        ends = [compared.strategies[name].curve[i].scores["accuracy"].mean for i in (0, -1)]
        assert min(ends) - 1e-9 <= strategy.test["accuracy"].mean <= max(ends) + 1e-9


def test_seconds_shrink_as_flops_do():
    compared, timed = comparison(), timings(["frozen", "elsewhere"])
    found = timings_at(timed, compared, at_images(compared, 160))
    assert found["frozen"].train.seconds_per_training == pytest.approx(30 * 0.28)
    assert found["frozen"].latency_ms == timed["frozen"].latency_ms
    assert list(found) == ["frozen"]
