import numpy as np
import pytest

from pipeline.config.metric_names import BALANCED_LOG_LOSS, METRICS
from pipeline.data.image_set import load
from pipeline.inference.classifier import Classifier
from pipeline.training.metrics import score


@pytest.fixture
def result(chain, strategy):
    return chain.document("train", strategy)


@pytest.fixture
def predictions(chain, strategy):
    return chain.table("train", strategy)


def rows_of(predictions, split, seed, fraction=1):
    """Return the predictions of one training on one split."""
    wanted = (predictions["split"] == split) & (predictions["seed"] == seed) & (predictions["fraction"] == fraction)
    return predictions[wanted]


def test_the_best_recipe_is_scored_once_a_seed(chain, result, strategy):
    tuned = chain.document("tune", strategy)
    assert (result["strategy"], result["recipe"], result["seeds"]) == (strategy, tuned["recipe"], [1, 2])
    for split in ("valid", "test"):
        assert len(result[split]) == 2
        assert all(set(scores) == {*METRICS, BALANCED_LOG_LOSS} for scores in result[split])
    assert set(result["cost"]) == {
        "search_flops", "train_flops", "fit_flops", "predict_flops", "parameters", "trainable_parameters", "model_bytes"
    }  # fmt: skip
    assert result["cost"]["search_flops"] == tuned["search_flops"]


def test_the_curve_is_scored_on_the_same_test_images_after_training_on_fewer(chain, result, predictions):
    half, whole = result["curve"]
    assert (half["fraction"], whole["fraction"]) == (0.5, 1)
    assert whole["images"] == 2 * half["images"]
    assert half["train_flops"] < whole["train_flops"]
    assert whole["test"] == result["test"]
    for seed, scores in zip(result["seeds"], half["test"]):
        rows = rows_of(predictions, "test", seed, 0.5)
        assert list(rows["id"]) == list(load(chain.prepared.test).ids)
        assert score(rows["label"].to_numpy(), rows[["p_low", "p_top"]].to_numpy()) == pytest.approx(scores)
    assert not len(rows_of(predictions, "valid", 1, 0.5))


def test_the_model_to_register_is_that_of_the_best_seed_on_validation(result):
    losses = dict(zip(result["seeds"], [scores["log_loss"] for scores in result["valid"]]))
    assert result["best_seed"] == min(losses, key=losses.get)


def test_scores_are_those_of_the_predictions_written(result, predictions):
    for split in ("valid", "test"):
        for seed, scores in zip(result["seeds"], result[split]):
            rows = rows_of(predictions, split, seed)
            found = score(rows["label"].to_numpy(), rows[["p_low", "p_top"]].to_numpy())
            assert found == pytest.approx(scores)


def test_each_seed_opens_the_whole_test_split_and_no_image_of_it_is_in_training_or_validation(chain, predictions):
    dev, test = load(chain.prepared.dev), load(chain.prepared.test)
    for _, rows in predictions[predictions["fraction"] == 1].groupby("seed"):
        assert list(rows["id"][rows["split"] == "test"]) == list(test.ids)
        assert set(rows["id"][rows["split"] == "valid"]) < set(dev.ids)
    assert not set(dev.ids) & set(test.ids)


def test_the_exported_model_labels_the_test_images_as_they_were_scored(chain, strategy, result, predictions):
    test = load(chain.prepared.test)
    table = Classifier(chain.root / "models" / strategy).predict(np.asarray(test.images))
    rows = rows_of(predictions, "test", result["best_seed"])
    np.testing.assert_allclose(table["p_top"], rows["p_top"], atol=2e-3)


def test_seeds_are_nested_in_the_run_of_the_arm(chain, strategy, result):
    parent = chain.runs()[strategy]
    assert (parent.info.status, parent.data.tags["stage"]) == ("FINISHED", "arm")
    assert {f"{split}_{metric}" for split in ("valid", "test") for metric in METRICS} <= set(parent.data.metrics)
    children = chain.children(strategy, "train")
    names = {f"{strategy} seed {seed}{share}" for seed in (1, 2) for share in ("", ", 50 % of the images")}
    assert set(children) == names
    half = children[f"{strategy} seed 1, 50 % of the images"]
    assert half.data.tags["fraction"] == "0.5"
    assert half.data.metrics["test_accuracy"] == pytest.approx(result["curve"][0]["test"][0]["accuracy"])
    for seed, scores in zip(result["seeds"], result["test"]):
        run = children[f"{strategy} seed {seed}"]
        assert (run.info.status, run.data.tags["seed"]) == ("FINISHED", str(seed))
        assert {m: run.data.metrics[f"test_{m}"] for m in METRICS} == pytest.approx({m: scores[m] for m in METRICS})


def test_strategies_can_be_compared_in_mlflow(chain):
    one, other = (chain.children(name, "train") for name in ("frozen", "finetune"))
    runs = [*one.values(), *other.values()]
    assert len({frozenset(run.data.params) for run in runs}) == 1
    assert len({frozenset(run.data.metrics) for run in runs}) == 1


def test_every_run_leads_back_to_code_data_strategy_and_seed(chain):
    runs = chain.runs()
    digest = load(chain.prepared.dev).digest
    for name, run in runs.items():
        assert {"mlflow.source.name", "mlflow.user", "dvc_lock", "data", "stage"} <= set(run.data.tags), name
        assert run.inputs.dataset_inputs[0].dataset.name.startswith("tiny")
        if "seed" in name or "trial" in name:
            assert {"strategy", "backbone", "seed"} <= set(run.data.tags), name
            assert run.data.tags["data"] == digest


def test_a_recipe_that_was_not_tuned_is_asked_for(new_chain, capsys):
    assert new_chain().run("train", "frozen") == 2
    assert "run the stage that makes it: dvc repro" in capsys.readouterr().err
