import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.metric_names import METRICS
from pipeline.verdict.pairwise import train_flops
from pipeline.verdict.rule import belief, recommend
from tests.support.example import comparison
from tests.support.worlds import worlds

CHEAP, DEAR = {"train_flops": 1e12}, {"train_flops": 9e12}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("rows", "recommended"),
    [
        ({"a": DEAR}, "a"),
        ({"a": DEAR, "b": CHEAP}, "b"),  # equal: the cheapest
        ({"a": DEAR | {"accuracy": 0.9}, "b": CHEAP}, "a"),  # far better
        ({"a": DEAR | {"accuracy": 0.865}, "b": CHEAP}, "a"),  # not significantly, but more than matters is to be lost
        ({"a": DEAR | {"accuracy": 0.852}, "b": CHEAP}, "b"),  # ahead, by less than matters
        ({"a": CHEAP, "b": CHEAP}, "a"),  # equal in all: the first by name
        ({"a": CHEAP | {"valid": 0.84}, "b": CHEAP}, "b"),  # as cheap: the better on validation
        ({"a": CHEAP | {"accuracy": 0.6}, "b": DEAR, "c": {"train_flops": 2e12, "accuracy": 0.849}}, "c"),
        ({"a": DEAR | {"valid": 0.95, "accuracy": 0.7}, "b": CHEAP | {"valid": 0.7, "accuracy": 0.95}}, "b"),
    ],
)
def test_the_cheapest_that_loses_no_more_than_matters_is_recommended(metric, rows, recommended):
    assert recommend(comparison(rows, metric=metric)) == recommended


def test_of_nobody_nobody_is_recommended():
    assert recommend(comparison(), []) is None


def test_what_matters_decides_how_much_is_given_up_for_a_lower_cost():
    rows = {"a": CHEAP | {"accuracy": 0.86}, "b": DEAR | {"accuracy": 0.88}}
    assert [recommend(comparison(rows, worth=worth)) for worth in (0.001, 0.005, 0.04)] == ["b", "b", "a"]


def test_where_every_one_may_lose_more_than_matters_the_one_that_loses_least_is_recommended():
    found = belief(comparison({"a": CHEAP | {"accuracy": 0.86}, "b": DEAR | {"accuracy": 0.87}}, worth=1e-4))
    assert found.losses[found.recommended] == min(found.losses.values()) > 1e-4


@pytest.mark.parametrize(
    ("accuracy", "paired", "word"),
    [(0.95, 0.018, "better"), (0.75, 0.018, "worse"), (0.85, 0.003, "equivalent"), (0.86, 0.018, "undecided")],
)
def test_a_strategy_is_better_worse_equivalent_or_undecided(accuracy, paired, word):
    found = belief(comparison({"a": CHEAP, "b": DEAR | {"accuracy": accuracy}}, paired=paired)).standing("b", "a")
    assert found.standing == word
    assert (found.decided_by is not None) == (word == "undecided")
    assert found.probability > (0.8 if word != "undecided" else 0.3)


def test_what_would_decide_it_does_if_what_is_believed_is_true():
    compared = comparison({"a": CHEAP, "b": DEAR})
    found = belief(compared).standing("b", "a")
    assert (found.standing, found.decided_by.seeds) == ("undecided", None)  # seeds make none of the noise
    more = found.decided_by.test_images
    narrower = comparison({"a": CHEAP, "b": DEAR}, paired=0.018 / more**0.5)
    assert belief(narrower).standing("b", "a").standing == "equivalent"


@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_strategies_does_not_matter(compared, random):
    names = list(compared.strategies)
    random.shuffle(names)
    shuffled = compared.model_copy(update={"strategies": {name: compared.strategies[name] for name in names}})
    assert belief(shuffled).losses == pytest.approx(belief(compared).losses, abs=1e-12)
    assert recommend(shuffled) == recommend(compared)


@given(worlds(), st.integers(1, 50))
def test_the_unit_of_cost_does_not_matter(compared, factor):
    strategies = {
        name: s.model_copy(
            update={"cost": s.cost.model_copy(update={"train_flops": s.cost.train_flops * factor})}
        )
        for name, s in compared.strategies.items()
    }  # fmt: skip
    before, after = belief(compared), belief(compared.model_copy(update={"strategies": strategies}))
    assert after.losses == before.losses
    for name in before.names:
        if name != before.recommended:
            assert after.standing(name, before.recommended) == before.standing(name, before.recommended)


@given(worlds(), st.data())
def test_a_clearly_dominated_strategy_changes_neither_the_advice_nor_a_loss(compared, data):
    known = belief(compared)
    dominated = [name for name in known.names if name not in known.kept]
    some = data.draw(st.sets(st.sampled_from(dominated))) if dominated else set()
    fewer = belief(compared, set(known.names) - some)
    assert fewer.recommended == known.recommended
    for name in known.kept:
        assert fewer.losses[name] == pytest.approx(known.losses[name], abs=1e-12)


@given(worlds())
def test_whoever_is_cheaper_than_the_recommended_one_loses_more_than_matters(compared):
    found = belief(compared)
    own = found.recommended
    for name in found.kept:
        if train_flops(compared, name) < train_flops(compared, own):
            assert found.losses[name] > min(compared.worth, found.losses[own])
