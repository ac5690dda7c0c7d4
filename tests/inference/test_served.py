import os

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before mlflow loads: tests are offline

import json

import pytest
from mlflow.exceptions import MlflowException

from pipeline.inference import served
from tests.support.pictures import saved, smooth
from tests.support.served import tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tiny_model(tmp_path_factory.mktemp("model")))


def test_images_are_answered_as_the_classifier_does(folder):
    model, images = served._load_pyfunc(folder), [saved(smooth())]
    assert model.predict(images).equals(model.classifier.predict(images))


@pytest.mark.parametrize(
    ("images", "said"),
    [
        ([b"hello"], "image 0: not a readable image (of no known format)"),
        ([], "no images: give a list of file contents or a uint8 array (N, H, W, C)"),
        ([saved(smooth())] * 3, "3 images are over the limit of 2 in one call; send fewer at a time"),
        (5, "'int' object is not iterable"),
    ],
)
def test_a_refusal_is_a_400_that_says_why_and_repeats_no_input(folder, images, said, monkeypatch):
    monkeypatch.setenv("HEADSTART_MAX_IMAGES", "2")
    with pytest.raises(MlflowException) as caught:
        served._load_pyfunc(folder).predict(images)
    caught.value.message = "Failed to predict data ..."  # as MLflow's server does
    assert caught.value.get_http_status_code() == 400
    answer = json.loads(caught.value.serialize_as_json())
    assert (answer["error_code"], answer["message"]) == ("INVALID_PARAMETER_VALUE", said)


def test_a_wrong_limit_is_told_when_the_model_is_loaded(folder, monkeypatch):
    monkeypatch.setenv("HEADSTART_MAX_BYTES", "1 MB")
    with pytest.raises(ValueError, match="HEADSTART_MAX_BYTES must be a positive whole number, found '1 MB'"):
        served._load_pyfunc(folder)
