import math

import pytest

from pipeline.config.strategies import Search
from pipeline.search.halving import whole_trainings
from tests.support.searching import ROW, SEARCH, diverge_if, evaluate, spent, tune


@pytest.mark.parametrize("promote_fraction", [0.2, 0.5, 0.9])
def test_each_rung_promotes_its_best_share_rounded_up(promote_fraction, fresh):
    asked: list[tuple[int, int]] = []

    def listen(number, recipe, until):
        asked.append((number, until))
        return evaluate(number, recipe, until)

    row = ROW.model_copy(update={"trials": 10, "rungs": (1, 3)})
    search = Search(seed=0, startup_trials=5, trials_per_round=5, promote_fraction=promote_fraction)
    tried = tune(row, search, fresh(), listen)[:5]
    asked = [(number, until) for number, until in asked if number < 5]
    reached = {until: [number for number, other in asked if other == until] for until in (1, 3, 6)}
    second, third = math.ceil(promote_fraction * 5), math.ceil(promote_fraction * math.ceil(promote_fraction * 5))
    assert [len(numbers) for numbers in reached.values()] == [5, second, third]

    def loss(number, until):
        return evaluate(number, tried[number].recipe, until).epochs[-1].valid["log_loss"]

    for until, further in ((1, 3), (3, 6)):
        left = set(reached[until]) - set(reached[further])
        assert max(loss(n, until) for n in reached[further]) <= min((loss(n, until) for n in left), default=math.inf)
    assert [t.state for t in tried] == ["COMPLETE" if t.number in reached[6] else "PRUNED" for t in tried]
    assert [len(t.outcome.epochs) for t in tried] == [max(u for n, u in asked if n == t.number) for t in tried]


@pytest.mark.parametrize("rungs", [(), (1, 3), (2, 9)])
def test_the_trainings_expected_are_those_done_when_nothing_fails(rungs, fresh):
    row = ROW.model_copy(update={"rungs": rungs, "trials": 5})
    tried = tune(row, SEARCH, fresh(), evaluate)
    assert whole_trainings(row, SEARCH) == pytest.approx(sum(len(t.outcome.epochs) for t in tried) / 6)


def test_a_promoted_training_may_diverge_too(fresh):
    late = diverge_if(lambda recipe: recipe.head == "linear", after=4)
    row = ROW.model_copy(update={"rungs": (4,)})

    def failing_late(number, recipe, until):
        return late(number, recipe, until) if until > 4 else evaluate(number, recipe, until)

    tried = tune(row, SEARCH.model_copy(update={"promote_fraction": 0.9}), fresh(), failing_late)
    assert {t.state for t in tried if t.outcome.failed} == {"PRUNED"}
    assert {t.recipe.head for t in tried if t.state == "COMPLETE"} == {"mlp"}


def test_the_trials_of_a_cohort_are_those_that_started_together(fresh):
    rungs = []

    def listen(rung):
        rungs.append(rung)
        return {number: evaluate(number, recipe, rung.until[number]) for number, recipe in rung.recipes.items()}

    spent(ROW, SEARCH, fresh(), listen)
    assert [list(rung.recipes) for rung in rungs[::2]] == [[0, 1, 2], [3, 4]]
    assert rungs[0].cohort == rungs[1].cohort != rungs[2].cohort == rungs[3].cohort
