import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.constraints import Constraints
from pipeline.config.metric_names import METRICS
from pipeline.verdict.advice import advise, conclude
from pipeline.verdict.decision import decide
from pipeline.verdict.pairwise import significantly_better, train_flops
from tests.support.example import comparison, timings
from tests.support.worlds import limits, measured, worlds

CHEAP, DEAR = {"train_flops": 1e12}, {"train_flops": 4e12}
TIED = {"a": CHEAP | {"accuracy": 0.86}, "b": DEAR | {"accuracy": 0.87}}
APART = {"a": CHEAP | {"accuracy": 0.8}, "b": DEAR | {"accuracy": 0.9}}


def said(rows, constraints=None, timed=None, **kwargs):
    return advise(comparison(rows, **kwargs), Constraints(**(constraints or {})), timed)


def test_a_verdict_says_what_was_asked_and_why_each_of_the_others_is_out():
    found = said(None, {"train_flops": 4.5e12})
    assert (found.admissible, found.recommended) == (("finetune", "frozen"), "finetune")
    assert list(found.excluded) == ["scratch"]
    assert all(found.excluded.values())
    assert found.model_dump()["constraints"] == {"train_flops": 4.5e12}
    assert found.constrained
    assert not said(None).constrained


def test_there_is_a_front_for_training_and_one_for_prediction():
    found = said(None)
    assert (found.front, found.front_predict) == (("frozen", "finetune"), ("scratch", "finetune"))


def test_what_was_measured_is_nearer_than_what_was_not():
    timed = {"b": timings("b")["b"]}
    assert "The nearest is b," in said(TIED, {"latency_ms": 3, "min_accuracy": 0.9}, timed).answers.changes
    assert "The nearest is b," in said(TIED, {"latency_ms": 3, "train_flops": 1e11}, timed).answers.changes


@given(worlds(), limits())
def test_whatever_is_asked_the_advice_is_within_the_rules(compared, constraints):
    decision = decide(compared, constraints, measured(compared))
    found = advise(compared, constraints, measured(compared))
    own = found.recommended
    assert (own is None) == (not found.admissible)
    assert set(found.admissible) | set(found.excluded) == set(compared.strategies)
    assert found.front
    assert found.front_predict
    if own is not None:
        assert set(found.standings) == set(found.admissible) - {own}
        assert found.significant <= significantly_better(decision.comparison, own, found.admissible)
    json.dumps(found.model_dump(), allow_nan=False)


@given(worlds(), limits(images=st.none()))
def test_limits_do_not_move_the_front(compared, constraints):
    assert advise(compared, constraints, measured(compared)).front == advise(compared).front


@given(worlds(), limits(), st.randoms(use_true_random=False))
def test_the_order_of_strategies_pairs_and_crossings_does_not_matter(compared, constraints, source: random.Random):
    strategies = dict(source.sample(list(compared.strategies.items()), len(compared.strategies)))
    shuffled = compared.model_copy(update={
        "strategies": strategies, "pairs": tuple(source.sample(compared.pairs, len(compared.pairs))),
        "crossovers": tuple(source.sample(compared.crossovers, len(compared.crossovers))),
    })  # fmt: skip
    before, after = (advise(c, constraints, measured(compared)) for c in (compared, shuffled))
    assert sorted(after.changes) == sorted(before.changes)
    assert after.model_copy(update={"changes": before.changes}) == before


@pytest.mark.parametrize("metric", METRICS)
def test_the_conclusion_is_about_all_strategies_whatever_is_asked(metric):
    compared = comparison(APART, metric=metric)
    assert conclude(compared).recommended == "b"
    assert conclude(compared).significant
    assert advise(compared, Constraints(train_flops=2e12)).unconstrained == conclude(compared)
    assert not conclude(comparison(TIED, metric=metric)).significant
    assert not conclude(comparison({"a": CHEAP}, metric=metric)).significant


def test_cost_of_nothing_does_no_harm():
    compared = comparison({"a": {"train_flops": 0.0}, "b": DEAR | {"accuracy": 0.95}})
    assert train_flops(compared, "a") == 0
    assert "4 trillion operations" in advise(compared).answers.costs
