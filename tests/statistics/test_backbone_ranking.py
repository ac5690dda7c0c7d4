from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from pipeline.statistics.backbone_ranking import SCORES, agree, ranking
from pipeline.verdict.formatting import BACKBONE_SCORES
from tests.support.example import STRATEGIES, TRANSFER, comparison


def rows(count, tuned=True):
    """Return strategies on so many backbones: the higher the number, the better in every way."""
    found = {}
    for n in range(count):
        shared = {
            "backbone": f"net-{n}",
            "accuracy": 0.8 + 0.02 * n,
            "transfer": TRANSFER | dict.fromkeys(("log_me", "ridge_accuracy", "h_score"), 0.5 + 0.05 * n),
        }
        found[f"heads-{n}"] = {"cut": "head"} | shared
        if tuned:
            found[f"tuned-{n}"] = {"cut": 3} | shared
    return found


def test_of_a_single_backbone_nothing_is_ranked():
    assert ranking(comparison()) is None
    assert ranking(comparison(rows(1))) is None


def test_backbones_stand_in_order_of_log_me_with_what_came_of_them():
    found = ranking(comparison(rows(3) | {"scratch": STRATEGIES["scratch"]}))
    assert [row.backbone for row in found.backbones] == ["net-2", "net-1", "net-0"]
    best = found.backbones[0]
    assert best.outcomes == {"heads": "heads-2", "tuned": "tuned-2"}
    assert set(best.scores) == set(SCORES) == set(BACKBONE_SCORES)
    assert best.scores["h_score_gain"] == pytest.approx(0.6 - TRANSFER["h_score_if_random"])


def test_of_several_strategies_on_a_backbone_the_best_on_validation_is_its_outcome():
    more = rows(2) | {"another": rows(2)["heads-1"] | {"accuracy": 0.7, "valid": 0.95}}
    assert ranking(comparison(more)).backbones[0].outcomes["heads"] == "another"


def test_random_weights_are_no_candidate():
    assert (
        ranking(comparison(rows(1) | {"random": {"weights": "random", "backbone": "net-9", "transfer": None}})) is None
    )


def test_two_backbones_get_no_correlation():
    assert ranking(comparison(rows(2))).agreement == ()


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_of_three_backbones_even_a_perfect_order_is_no_rare_one(metric):
    found = ranking(comparison(rows(3), metric=metric))
    assert len(found.agreement) == len(SCORES) * 2
    for each in found.agreement:
        assert (each.same, each.pairs, each.tau, each.p_permutation) == (3, 3, 1, pytest.approx(1 / 6))


def test_an_outcome_that_too_few_backbones_have_is_left_out():
    few = {name: row for name, row in rows(4).items() if name not in ("tuned-0", "tuned-1")}
    found = ranking(comparison(few))
    assert {each.outcome for each in found.agreement} == {"heads"}
    assert "tuned" not in found.backbones[-1].outcomes


numbers = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=7)


@given(numbers)
def test_the_rank_correlation_is_kendalls(pairs):
    first, second = zip(*pairs)
    found = agree(first, second)
    if len(set(first)) > 1 and len(set(second)) > 1:
        assert found.tau == pytest.approx(kendalltau(first, second).statistic)
    assert 0 <= found.same <= found.pairs
    assert 0 < found.p_permutation <= 1


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (1, 0, 2, 3), (3, 1, 0, 2), (3, 2, 1, 0)])
def test_luck_is_the_share_of_all_orders_that_agree_as_well(order):
    straight = (0, 1, 2, 3)
    as_good = [agree(straight, other).same >= agree(straight, order).same for other in permutations(straight)]
    assert agree(straight, order).p_permutation == pytest.approx(sum(as_good) / len(as_good))
