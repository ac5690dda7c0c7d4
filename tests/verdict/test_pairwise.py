import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.metric_names import METRICS
from pipeline.verdict import pairwise
from tests.support.example import comparison
from tests.support.worlds import worlds


def names(compared):
    return sorted(compared.strategies)


@pytest.mark.parametrize("metric", METRICS)
def test_a_gain_is_good_whatever_the_metric_and_whichever_way_round_the_pair_is(metric):
    compared = comparison({"a": {"accuracy": 0.9}, "b": {"accuracy": 0.8}}, metric=metric)
    ahead, behind = pairwise.paired_difference(compared, "a", "b"), pairwise.paired_difference(compared, "b", "a")
    assert ahead.gain == pytest.approx(0.1)
    assert ahead.ci == pytest.approx((0.082, 0.118))
    assert (behind.gain, behind.ci) == (-ahead.gain, tuple(-end for end in reversed(ahead.ci)))
    assert ahead.p_better == pytest.approx(1 - behind.p_better)
    assert ahead.p_better > 0.99
    assert (ahead.significant, behind.significant, ahead.p_adjusted) == (True, False, behind.p_adjusted)


def test_a_pair_that_is_not_there_is_an_error():
    with pytest.raises(KeyError):
        pairwise.paired_difference(comparison(), "frozen", "elsewhere")


def test_nobody_is_significantly_better_than_nobody():
    compared = comparison({"a": {"accuracy": 0.95}, "b": {}, "c": {"accuracy": 0.94}})
    assert pairwise.significantly_better(compared, "a", ["a", "b"])
    assert not pairwise.significantly_better(compared, "a", ["a"])
    assert not pairwise.significantly_better(compared, "a", ["a", "b", "c"])


@pytest.mark.parametrize("metric", METRICS)
def test_the_front_holds_those_than_which_none_is_as_cheap_and_as_good(metric):
    rows = {"a": {"accuracy": 0.8, "train_flops": 1e12}, "b": {"accuracy": 0.9, "train_flops": 3e12},
            "c": {"accuracy": 0.85, "train_flops": 4e12}, "d": {"accuracy": 0.9, "train_flops": 3e12},
            "e": {"accuracy": 0.8, "train_flops": 2e12, "predict_flops": 1e3}}  # fmt: skip
    compared = comparison(rows, metric=metric)
    assert pairwise.pareto_front(compared, "train_flops") == ["a", "b", "d"]
    assert pairwise.pareto_front(compared, "predict_flops") == ["e", "b", "d"]


@given(worlds())
def test_whoever_is_off_the_front_is_dominated_by_somebody_on_it(compared):
    points = {
        name: (pairwise.train_flops(compared, name), -compared.goodness(name, "test")) for name in names(compared)
    }
    kept = [points[name] for name in pairwise.pareto_front(compared, "train_flops")]
    assert kept
    for name in set(names(compared)) - set(pairwise.pareto_front(compared, "train_flops")):
        assert any(q[0] <= points[name][0] and q[1] <= points[name][1] and q != points[name] for q in kept)
    assert not any(p[0] <= q[0] and p[1] <= q[1] and p != q for p in kept for q in kept)


def test_a_crossing_is_found_whichever_way_round_the_pair_is():
    compared = comparison(crossings={("frozen", "scratch"): {"not_before": 2000.0}})
    for names in (("frozen", "scratch"), ("scratch", "frozen")):
        assert pairwise.crossover(compared, *names).not_before == 2000
    with pytest.raises(KeyError):
        pairwise.crossover(compared, "frozen", "elsewhere")


@given(worlds(), st.data())
def test_a_strategy_stands_in_one_way_against_each_other_and_the_other_way_round_for_them(compared, data):
    own = data.draw(st.sampled_from(names(compared)))
    others = [name for name in names(compared) if name != own]
    found = pairwise.standing(compared, own, others)
    assert sorted([*found.better_than, *found.tied_with, *found.worse_than]) == others
    for other in others:
        back = pairwise.standing(compared, other, [own])
        assert (other in found.better_than, other in found.tied_with) == (bool(back.worse_than), bool(back.tied_with))
