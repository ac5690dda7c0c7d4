"""The ablations: what is measured of a recipe, how changes are compared, and what the file holds."""

import json

import numpy as np
import pytest

from benchmarks.ablations import ARMS
from benchmarks.arms import RESULTS, Measured, compare, measure, record
from pipeline.config.params import load
from pipeline.config.recipe import Recipe
from pipeline.data.folds import train_valid
from pipeline.training.metrics import score
from pipeline.training.unit import unit
from tests.support.imports import ROOT
from tests.support.kinds import make_context
from tests.support.units import recipe

LINE = {"change": "mixup 0.2", "arm": "scratch", "task": "elpv", "gain_points": 1.0, "gain_log_loss": 0.01,
        "cpu_ratio": 1.0, "adopted": False, "seeds": 2}  # fmt: skip


@pytest.mark.parametrize("arm", ARMS.values(), ids=ARMS)
def test_every_change_makes_another_recipe_of_a_row_that_there_is(arm):
    recipes = [Recipe(**arm.baseline), *(Recipe(**{**arm.baseline, **values}) for values in arm.changes.values())]
    assert len({each.model_dump_json() for each in recipes}) == len(recipes)
    assert arm.name in load(ROOT / "params.yaml").strategies


def test_a_recipe_is_scored_on_the_validation_images_of_each_seed_over_all_views(image_set, tmp_path):
    context, scores = make_context(image_set, tmp_path), []
    for seed in (1, 2):
        _, valid = train_valid(image_set, context.valid_fraction, seed)
        predicted = unit(recipe("input"), context, seed, test=image_set).valid
        assert predicted["rows"] == valid.tolist()
        scores.append(score(image_set.labels[valid], np.array(predicted["probabilities"])))
    found = measure(recipe("input"), context, [1, 2])
    assert found.accuracy == pytest.approx(np.mean([each["accuracy"] for each in scores]))
    assert found.log_loss == pytest.approx(np.mean([each["log_loss"] for each in scores]))
    assert found.cpu_seconds > 0
    assert found.seeds == 2


def test_gains_are_positive_where_a_change_is_better():
    better, worse = Measured(0.85, 0.35, 120.0, 2), Measured(0.84, 0.36, 100.0, 2)
    line = compare(ARMS["scratch"], "elpv", better, worse, "mixup 0.2")
    assert line == {**LINE, "cpu_ratio": 1.2}


@pytest.mark.parametrize("arm", ARMS.values(), ids=ARMS)
def test_the_strategy_s_row_has_what_was_adopted(arm):
    row = load(ROOT / "params.yaml").strategies[arm.name]
    for change in arm.adopted:
        for key, value in arm.changes[change].items():
            axis = row.space.get(key)
            if axis is None:
                assert value == row.recipe.get(key)
            else:
                assert value in axis.choices if axis.choices else axis.low <= value <= axis.high


def test_a_line_takes_the_place_of_the_same_change_measured_earlier(tmp_path):
    path = tmp_path / "arms.json"
    for line in (LINE, {**LINE, "change": "a"}, {**LINE, "gain_points": 2.0}):
        record(line, path)
    assert json.loads(path.read_text()) == [{**LINE, "change": "a"}, {**LINE, "gain_points": 2.0}]


def test_the_lines_kept_are_of_changes_that_can_be_measured_again():
    for line in json.loads(RESULTS.read_text(encoding="utf-8")):
        assert line.keys() == LINE.keys()
        assert line["change"] in ARMS[line["arm"]].changes
