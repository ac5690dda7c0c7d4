from dataclasses import replace

import numpy as np
import pytest

from pipeline.common.errors import UserError
from pipeline.config.metric_names import METRICS
from pipeline.data.image_set import load
from pipeline.training import results
from pipeline.training.metrics import score
from tests.support.outcomes import on_half_of_the_images, two_seeds

TUNED = {"strategy": "mine", "recipe": {"backbone": "compact"}, "search_flops": 77}


@pytest.fixture(scope="module")
def test_set(prepared):
    return load(prepared.test)


@pytest.fixture(scope="module")
def done(image_set, test_set):
    return two_seeds(image_set, test_set)


@pytest.fixture(scope="module")
def trained(done):
    return {1.0: done, 0.5: {1: on_half_of_the_images(done[1])}}


@pytest.fixture(scope="module")
def points(trained, image_set, test_set):
    return results.curve(trained, image_set, test_set)


@pytest.fixture(scope="module")
def scores(done, image_set, test_set):
    return results.summarise(done, image_set, test_set)


def test_scores_are_those_of_the_rows_predicted(done, scores, image_set, test_set):
    assert list(scores) == ["valid", "test"]
    rows = done[2].valid["rows"]
    assert scores["valid"][2] == score(image_set.labels[rows], np.array(done[2].valid["probabilities"]))
    assert scores["test"][1] == score(test_set.labels, np.array(done[1].test["probabilities"]))


def test_a_training_that_diverged_is_left_out_and_named(done):
    failed = replace(done[2], failed="the training loss became nan in epoch 3", valid={}, test={})
    assert results.finite({1.0: done}) == ({1.0: done}, [])
    kept, diverged = results.finite({1.0: {**done, 2: failed}, 0.125: {2: failed}})
    assert kept == {1.0: {1: done[1]}}
    assert diverged == [{"seed": 2, "fraction": f, "reason": failed.failed} for f in (1.0, 0.125)]


def test_where_all_trainings_diverged_the_error_says_what_to_do(done):
    failed = replace(done[2], failed="the training loss became nan in epoch 3", valid={}, test={})
    with pytest.raises(UserError, match=r"^seed 1: .*nan in epoch 3.*learning_rate"):
        results.finite({1.0: dict.fromkeys((1, 2), failed), 0.125: done})


def test_a_learning_curve_has_a_point_for_each_share_ascending(points, scores, done, test_set):
    assert [(point["fraction"], point["images"]) for point in points] == [(0.5, 15), (1.0, 30)]
    assert [point["train_flops"] for point in points] == [70, 115]
    assert points[0]["test"] == [score(test_set.labels, np.array(done[1].test["probabilities"]))]
    assert points[1]["test"] == [scores["test"][1], scores["test"][2]]


def test_the_best_seed_has_the_lowest_validation_loss_and_test_has_no_say(scores):
    assert results.best_seed(scores) == 2
    flipped = {**scores, "test": {1: scores["test"][2], 2: scores["test"][1]}}
    assert results.best_seed(flipped) == 2
    assert results.best_seed({"valid": {5: scores["valid"][1], 3: scores["valid"][1]}}) == 3


def test_means_are_over_seeds_by_split_and_metric(scores):
    means = results.means(scores)
    assert set(means) == {f"{split}_{metric}" for split in ("valid", "test") for metric in METRICS}
    assert means["test_log_loss"] == pytest.approx(np.mean([scores["test"][seed]["log_loss"] for seed in (1, 2)]))


def test_a_document_tells_recipe_seeds_scores_curve_and_mean_cost(trained, points, scores):
    found = results.document(scores, trained, points, TUNED, 1234, {"log_me": -0.4})
    assert (found["curve"], found["transfer"]) == (points, {"log_me": -0.4})
    assert (found["strategy"], found["recipe"], found["seeds"], found["best_seed"]) == (
        "mine",
        TUNED["recipe"],
        [1, 2],
        2,
    )
    assert found["cost"] == {
        "train_flops": 115,
        "fit_flops": 100,
        "predict_flops": 5,
        "parameters": 3,
        "trainable_parameters": 2,
        "search_flops": 77,
        "model_bytes": 1234,
    }
    assert found["test"] == [scores["test"][1], scores["test"][2]]


def test_predictions_have_a_row_per_split_share_seed_and_image(trained, image_set, test_set):
    table = results.predictions(trained, image_set, test_set)
    assert list(table) == ["split", "fraction", "seed", "id", "label", "p_low", "p_top"]
    sizes = table.groupby(["split", "fraction", "seed"]).size().to_dict()
    assert sizes == {
        ("valid", 1, 1): 8, ("valid", 1, 2): 7, ("test", 1, 1): 12, ("test", 1, 2): 12, ("test", 0.5, 1): 12
    }  # fmt: skip
    assert set(table.loc[table["split"] == "test", "id"]) == set(test_set.ids)
    by_id = dict(zip(image_set.ids, image_set.labels)) | dict(zip(test_set.ids, test_set.labels))
    assert table["label"].tolist() == [by_id[name] for name in table["id"]]
