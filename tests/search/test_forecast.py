import pytest

from pipeline.config.params import Train
from pipeline.config.strategies import Search, Strategy
from pipeline.search.forecast import MeasuredTraining, forecast

ROW = {"trials": 4, "recipe": {"backbone": "compact", "weights": "random", "cut": "input", "epochs": 8,
                               "image_size": 64}, "space": {"learning_rate": {"low": 0.1, "high": 0.2}}}  # fmt: skip
SEARCH = {"seed": 0, "trials_per_round": 2, "promote_fraction": 0.5}
TRAIN = Train(seeds=(1, 2), fractions=(0.25, 1.0), epoch_scaling=0.5)


def told(row=None, search=None, pass_seconds=0.0, epochs=2, size=32):
    made = Strategy(**{**ROW, **(row or {})})
    recipe = made.full_recipe(made.default_values()).model_copy(update={"epochs": epochs, "image_size": size})
    return forecast(made, Search(**SEARCH, **(search or {})), TRAIN, MeasuredTraining(recipe, 3.0, pass_seconds))


def test_a_training_costs_as_its_epochs_and_pixels_do():
    whole = 3.0 * 4 * 4
    assert told().tune == pytest.approx(4 * whole)
    assert told().train == pytest.approx(2 * whole * (1 + 0.25 * 2))


def test_a_search_costs_no_more_than_its_budget():
    assert told(search={"budget": 2}).tune == pytest.approx(2 * 48)


def test_a_proxy_is_cheaper_and_the_best_trials_are_confirmed():
    small = {"proxy": {"image_size": 32, "epochs": 2}, "confirm": 1}
    assert told(small).tune == pytest.approx(4 * 3.0 + 48)


def test_features_are_made_once_for_each_size():
    small = {"proxy": {"image_size": 32, "epochs": 2}, "confirm": 1}
    assert told(small, pass_seconds=5).tune == pytest.approx(4 * 3.0 + 48 + 5 + 20)
    assert told(pass_seconds=5).train == told().train


def test_pruned_trials_cost_less():
    assert told({"rungs": [4]}).tune < told().tune
