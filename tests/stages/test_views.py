import json

import pytest

from pipeline.config import params as parameters
from pipeline.config.features import AUTO
from pipeline.training.choose_views import CANDIDATES, recipe_that_judges


@pytest.fixture
def found(new_chain, small_params):
    """A function that runs the stage with some views, and returns what it wrote and the folder's params."""

    def run(views):
        small_params["features"]["views"] = views
        made = new_chain()
        return json.loads((made.root / "views.json").read_text()), parameters.load(made.root / "params.yaml")

    return run


def test_views_of_the_user_stay_as_they_are_and_nothing_is_trained(found):
    wanted = ["identity", "rot90"]
    assert found(wanted)[0] == {"views": wanted, "tried": []}


def test_auto_tries_each_candidate_and_keeps_those_that_do_not_hurt(found):
    written, params = found("auto")
    assert [each["view"] for each in written["tried"]] == list(CANDIDATES)
    assert written["views"] == ["identity", *(each["view"] for each in written["tried"] if each["kept"])]
    assert all(each["kept"] == (each["after"] <= each["before"]) for each in written["tried"])
    assert params.features.views == AUTO


def test_the_features_that_judge_are_those_of_the_frozen_strategy(found):
    params = found(["identity"])[1]
    row, judge = params.strategy("frozen").recipe, recipe_that_judges(params.arms.values())
    assert (judge.backbone, judge.image_size, judge.cut) == (row["backbone"], row["image_size"], "head")
    assert judge.weights == "pretrained"
