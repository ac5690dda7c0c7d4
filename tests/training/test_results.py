import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.common.errors import UserError
from pipeline.common.files import Cost, Outcome, write_csv, write_json
from pipeline.data.image_set import load, train_valid
from pipeline.training import results
from pipeline.training.metrics import METRICS, score

TUNED = {"strategy": "mine", "recipe": {"backbone": "compact"}, "search_flops": 77}


@pytest.fixture(scope="module")
def test_set(prepared):
    return load(prepared.test)


@pytest.fixture(scope="module")
def done(image_set, test_set):
    """Outcomes of two seeds as `experiment.unit` returns them; the second is the surer."""

    def predicted(images, rows, sureness):
        rng = np.random.default_rng(len(rows))
        right = np.clip(sureness + 0.1 * rng.normal(size=len(rows)), 0.05, 0.95)
        probabilities = np.where(images.labels[rows, None] == [0, 1], right[:, None], 1 - right[:, None])
        return {"rows": rows.tolist(), "probabilities": probabilities.tolist()}

    return {
        seed: Outcome(
            [],
            Cost({"pass": 10 * seed}, fit_flops=100, predict_flops=5, parameters=3, trainable_parameters=2),
            valid=predicted(image_set, train_valid(image_set, 0.2, seed)[1], sureness),
            test=predicted(test_set, np.arange(len(test_set)), sureness),
            images=30,
        )
        for seed, sureness in ((1, 0.6), (2, 0.8))
    }


@pytest.fixture(scope="module")
def trained(done):
    """The same, and a seed on half of the images, of which test alone was scored."""
    half = replace(done[1], valid={}, images=15, cost=replace(done[1].cost, fit_flops=60))
    return {1.0: done, 0.5: {1: half}}


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


def test_a_training_that_diverged_is_named_with_what_to_do(done):
    failed = replace(done[2], failed="the training loss became nan in epoch 3", valid={}, test={})
    results.check({1.0: done})
    with pytest.raises(UserError, match=r"^seed 2: .*nan in epoch 3.*learning_rate"):
        results.check({1.0: {**done, 2: failed}})
    with pytest.raises(UserError, match=r"^seed 2, 12.5 % of the images: .*nan"):
        results.check({1.0: done, 0.125: {2: failed}})


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
    told = results.document(scores, trained, points, TUNED, 1234, {"log_me": -0.4})
    assert (told["curve"], told["transfer"]) == (points, {"log_me": -0.4})
    assert (told["strategy"], told["recipe"], told["seeds"], told["best_seed"]) == ("mine", TUNED["recipe"], [1, 2], 2)
    assert told["cost"] == {
        "train_flops": 115,
        "fit_flops": 100,
        "predict_flops": 5,
        "parameters": 3,
        "trainable_parameters": 2,
        "search_flops": 77,
        "model_bytes": 1234,
    }
    assert told["test"] == [scores["test"][1], scores["test"][2]]


def test_predictions_have_a_row_per_split_share_seed_and_image(trained, image_set, test_set):
    table = results.predictions(trained, image_set, test_set)
    assert list(table) == ["split", "fraction", "seed", "id", "label", "p_low", "p_top"]
    sizes = table.groupby(["split", "fraction", "seed"]).size().to_dict()
    assert sizes == {
        ("valid", 1, 1): 8, ("valid", 1, 2): 8, ("test", 1, 1): 12, ("test", 1, 2): 12, ("test", 0.5, 1): 12
    }  # fmt: skip
    assert set(table.loc[table["split"] == "test", "id"]) == set(test_set.ids)
    by_id = dict(zip(image_set.ids, image_set.labels)) | dict(zip(test_set.ids, test_set.labels))
    assert table["label"].tolist() == [by_id[name] for name in table["id"]]


def test_what_was_written_for_a_strategy_is_rebuilt_for_the_comparison(
    done, trained, scores, image_set, test_set, tmp_path
):
    trained = {**trained, 0.5: dict.fromkeys((1, 2), trained[0.5][1])}
    points = results.curve(trained, image_set, test_set)
    write_csv(tmp_path / "mine.csv", results.predictions(trained, image_set, test_set))
    write_json(tmp_path / "mine.json", results.document(scores, trained, points, TUNED, 1234, {"log_me": -0.4}))
    entry = results.entry(json.loads((tmp_path / "mine.json").read_text()), pd.read_csv(tmp_path / "mine.csv"))
    for part, told in ((entry.valid, entry.valid_scores), (entry.test, entry.test_scores)):
        assert [score(*pair) for pair in zip(part.labels, part.probabilities)] == [pytest.approx(s) for s in told]
    assert np.allclose(entry.test.probabilities[1], done[2].test["probabilities"], rtol=1e-11)
    assert entry.cost["search_flops"] == 77
    assert entry.curve[0.5]["accuracy"].scores.tolist() == [point["accuracy"] for point in points[0]["test"]]
