import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline.common.outcome import Cost, Outcome
from pipeline.inference.classifier import Classifier
from pipeline.training.unknown import add_unknown, describe_unknown
from tests.support.served import tiny_model

NOTHING = Outcome([], Cost({}, 0, 0, 0, 0))


def outcome(valid, test):
    parts = {name: {"rows": list(range(len(sure))), "probabilities": [[p, 1 - p] for p in sure]}
             for name, sure in (("valid", valid), ("test", test))}  # fmt: skip
    return replace(NOTHING, **parts)


def test_at_most_a_twentieth_of_validation_is_below_the_threshold_and_test_is_measured_apart():
    rng = np.random.default_rng(0)
    valid, test = rng.uniform(0.5, 1, 400), rng.uniform(0.5, 0.75, 100)
    found = describe_unknown(outcome(valid, test))
    assert found["valid"] == (valid < found["threshold"]).mean() == 0.05
    assert found["test"] == (test < found["threshold"]).mean() > 0.05
    assert found["threshold"] == pytest.approx(np.quantile(valid, 0.05), abs=0.005)


@pytest.mark.parametrize("sure", [[0.9] * 30, [1.0] * 7, [0.6], [0.5, 0.5, 1.0]])
def test_images_that_are_equally_sure_are_never_parted(sure):
    found = describe_unknown(outcome(sure, [0.5]))
    assert found["valid"] == 0
    assert 0 <= min(sure) - found["threshold"] < 1e-5


def test_without_predictions_on_both_there_is_none(tmp_path):
    assert describe_unknown(NOTHING) is None
    folder = tiny_model(tmp_path / "model")
    before = (folder / "model.json").read_bytes()
    add_unknown(folder, NOTHING)
    assert (folder / "model.json").read_bytes() == before


def test_a_model_says_unknown_below_its_threshold_if_it_is_asked_to(tmp_path):
    folder = tiny_model(tmp_path / "model")
    images = np.random.default_rng(0).integers(0, 256, (8, 24, 24, 3), dtype=np.uint8)
    plain = Classifier(folder).predict(images)
    with pytest.raises(ValueError, match="has no threshold for unknown images"):
        Classifier(folder).predict(images, unknown=True)
    middle = float(plain["probability"].median())
    add_unknown(folder, outcome([middle] * 20, [middle, 0.5]))
    assert json.loads((folder / "model.json").read_text())["unknown"]["test"] == 0.5
    classifier = Classifier(folder)
    assert classifier.predict(images).equals(plain)
    told = classifier.predict(images, unknown=True)
    below = plain["probability"] < classifier.threshold()
    assert 0 < below.sum() < 8
    assert (told["label"] == "unknown").tolist() == below.tolist()
    assert told.drop(columns="label").equals(plain.drop(columns="label"))
    assert told["label"][~below].equals(plain["label"][~below])
