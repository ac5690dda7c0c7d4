import pytest

from pipeline.common.errors import UserError
from pipeline.common.outcome import Outcome
from pipeline.config.strategies import Strategy
from pipeline.search.halving import whole_trainings
from pipeline.search.trials import best, document, table
from tests.support.searching import ROW, SEARCH, evaluate, interrupted, recorded, tune

PROXIED = Strategy(
    **{**dict(ROW), "recipe": {**ROW.recipe, "image_size": 64}, "proxy": {"image_size": 32, "epochs": 3},
       "confirm": 2, "rungs": (1,), "trials": 8}
)  # fmt: skip


def otherwise(number, recipe, until):
    """Return a training whose order with the whole recipe is the other way round."""
    found = evaluate(number, recipe, until)
    if recipe.image_size == 32:
        return found
    turned = [e.__class__(e.number, 0.0, {"log_loss": 9 - e.valid["log_loss"]}) for e in found.epochs]
    return Outcome(turned, found.cost)


def test_the_best_trials_by_proxy_are_trained_with_the_whole_recipe_and_the_best_of_those_wins(fresh):
    tried = tune(PROXIED, SEARCH, fresh(), otherwise)
    proxies, confirmed = tried[:8], tried[8:]
    order = sorted((t for t in proxies if t.state == "COMPLETE"), key=lambda t: t.value)
    assert [t.confirms for t in confirmed] == [t.number for t in order[:2]]
    assert {(t.recipe.image_size, t.recipe.epochs) for t in proxies} == {(32, 3)}
    assert {(t.recipe.image_size, t.recipe.epochs, t.state) for t in confirmed} == {(64, 6, "CONFIRMED")}
    assert best(tried) == confirmed[1]  # though both proxies have lower losses
    found = document(tried, "a row", 8, None)
    assert (found["best_trial"], found["ended_by"], found["trials"]["CONFIRMED"]) == (9, "trials", 2)
    rows = table(tried)
    assert rows["confirms"].dropna().tolist() == [t.number for t in order[:2]]


@pytest.mark.parametrize("call", [0, 5, 12, 13, 14])  # of 15: 3 + 2, 3 + 2, 2 + 1, 2
def test_a_search_killed_in_any_training_is_confirmed_alike(call, fresh):
    whole = fresh()
    expected = tune(PROXIED, SEARCH, whole, otherwise)
    study = interrupted(PROXIED, fresh(), otherwise, call)
    assert tune(PROXIED, SEARCH, study, otherwise) == expected
    assert recorded(study) == recorded(whole)


def test_where_no_whole_recipe_can_be_trained_the_error_says_so(fresh):
    def fail(number, recipe, until):
        found = evaluate(number, recipe, until)
        return found if recipe.image_size == 32 else Outcome(found.epochs, found.cost, "the loss became nan")

    with pytest.raises(UserError, match=r"none of 2 of the best trials, now with the whole recipe.*became nan"):
        tune(PROXIED, SEARCH, fresh(), fail)


def test_a_training_that_confirms_counts_by_its_epochs_and_pixels():
    alone = PROXIED.model_copy(update={"confirm": None})
    assert whole_trainings(PROXIED, SEARCH) - whole_trainings(alone, SEARCH) == pytest.approx(2 * 6 / 3 * 4)
