import pytest

from pipeline.config.constraints import Constraints
from pipeline.config.params import Params
from pipeline.config.quick import FEWEST_EPOCHS, SEEDS, SIZE, quick


@pytest.fixture
def params(small_params):
    """A function that returns the parameters of a first answer, and the user's, from `small_params` as it is now."""

    def derive():
        whole = Params(**small_params)
        return quick(whole), whole

    return derive


def test_each_strategy_has_its_default_recipe_alone(params):
    small, whole = params()
    assert small.enabled == whole.enabled
    for name, row in small.arms.items():
        assert (row.trials, row.space, row.rungs, row.confirm) == (1, {}, (), None)
        recipe, default = (each.full_recipe(values).model_dump(exclude={"epochs", "image_size"}) for each, values in
                           ((row, {}), (whole.strategies[name], whole.strategies[name].default_values())))  # fmt: skip
        assert recipe == default


def test_a_proxy_is_the_first_trial_of_a_whole_runs_search(params):
    small, whole = params()
    row = whole.strategies["finetune"]
    assert row.proxy
    assert small.strategies["finetune"].full_recipe({}) == row.proxy_recipe(row.default_values())


def test_without_a_proxy_recipes_are_small_and_short_but_for_the_epochs_of_heads(params, small_params):
    small_params["prepare"]["image_size"] = 300
    for name in ("frozen", "scratch"):
        row = small_params["strategies"][name]
        row["rungs"] = []
        row["recipe"] |= {"image_size": 300, "epochs": 40}
    small_params["strategies"]["frozen"]["space"].pop("head")
    recipes = {name: row.full_recipe({}) for name, row in params()[0].strategies.items()}
    assert (recipes["frozen"].image_size, recipes["scratch"].image_size) == (SIZE, SIZE)
    assert (recipes["frozen"].epochs, recipes["scratch"].epochs) == (40, 10)
    small_params["strategies"]["scratch"]["recipe"]["epochs"] = FEWEST_EPOCHS - 1
    assert params()[0].strategies["scratch"].full_recipe({}).epochs == FEWEST_EPOCHS - 1


@pytest.mark.parametrize(("seeds", "found"), [([1, 2, 3], (0, 1)), ([0, 7], (0, 7)), ([0], (0,))])
def test_the_first_seed_is_that_of_the_search(params, small_params, seeds, found):
    small_params["train"]["seeds"] = seeds
    assert params()[0].train.seeds == found
    assert len(found) <= SEEDS


@pytest.mark.parametrize(("fractions", "found"), [([0.1, 0.25, 0.6, 1], (0.25, 1)), ([1], (1,))])
def test_the_curves_have_two_points(params, small_params, fractions, found):
    small_params["train"]["fractions"] = fractions
    train = params()[0].train
    assert (train.fractions, train.racing) == (found, False)


def test_controls_other_backbones_and_constraints_are_left_out(params, small_params):
    small_params |= {"enabled": ["frozen", "random-features"], "backbones": ["compact"], "per_backbone": ["scratch"],
                     "constraints": {"latency_ms": 5}}  # fmt: skip
    small_params["strategies"]["scratch"]["recipe"]["backbone"] = "efficientnet_lite0"
    small = params()[0]
    assert list(small.arms) == ["frozen"]
    assert small.constraints == Constraints()
    small_params |= {"enabled": ["random-features"], "backbones": []}
    assert list(params()[0].arms) == ["random-features"]
