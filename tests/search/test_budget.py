import pytest

from pipeline.search.budget import budget_flops
from pipeline.search.trials import total_flops
from tests.support.searching import ROW, SEARCH, diverge_if, evaluate, tune

TRAINING = 1000 + 10 * 6  # what `evaluate` charges for one feature pass and six epochs
ROW_OF_30 = ROW.model_copy(update={"trials": 30, "startup_trials": 3})


def limited(trainings):
    return SEARCH.model_copy(update={"budget": trainings})


def test_a_row_s_own_round_and_budget_stand_in_for_the_search_s():
    row = ROW.model_copy(update={"trials_per_round": 1, "budget": 5.0, "startup_trials": 2})
    assert (row.rounds(SEARCH), row.budget_in_trainings(SEARCH)) == ([range(2), *(range(n, n + 1) for n in (2, 3, 4))],
                                                                      5.0)  # fmt: skip
    assert (ROW.rounds(SEARCH), ROW.budget_in_trainings(limited(3.0))) == ([range(3), range(3, 5)], 3.0)


def test_a_budget_is_priced_by_the_default_recipe(fresh):
    tried = tune(ROW, SEARCH, fresh(), evaluate)
    assert budget_flops(tried, ROW, limited(3.0)) == 3 * TRAINING
    assert budget_flops(tried, ROW, SEARCH) is None
    first = next(t for t in tried if t.state == "PRUNED")  # its cost is scaled to all epochs
    assert budget_flops([first], ROW, limited(1.0)) == TRAINING


def test_a_first_trial_that_failed_at_once_is_not_the_price(fresh):
    tried = tune(ROW, SEARCH, fresh(), diverge_if(lambda recipe: recipe.head == "linear", after=0))
    assert tried[0].outcome.epochs == []
    assert budget_flops(tried, ROW, limited(3.0)) == 3 * TRAINING
    assert budget_flops(tried[:1], ROW, limited(3.0)) is None


@pytest.mark.parametrize("budget", [0.001, 1.5, 2.1, 2.2, 2.4, 1e6])
def test_a_budget_is_never_exceeded_but_by_the_first_round(budget, fresh):
    tried = tune(ROW_OF_30, limited(budget), fresh(), evaluate)
    whole = tune(ROW_OF_30, SEARCH, fresh(), evaluate)
    assert tried == whole[: len(tried)]
    assert len(tried) in (3, 30) or total_flops(tried) <= budget * TRAINING
    dearest = 10 * (2 + 6 + 6)  # what three trials with one rung cost at most: two promoted, one dropped
    assert len(tried) == 30 or total_flops(tried) + dearest > budget * TRAINING


def test_what_confirming_costs_is_set_aside(fresh):
    row = ROW_OF_30.model_copy(update={"proxy": {"epochs": 3}, "confirm": 2, "rungs": (1,)})
    lengths = []
    for budget in (3.0, 4.0, 5.0):
        tried = tune(row, limited(budget), fresh(), evaluate)
        lengths.append(len(tried))
        assert total_flops(tried) <= budget * TRAINING or len(tried) == 3 + 2
    assert lengths[0] < lengths[-1]
