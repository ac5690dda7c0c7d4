import base64

import numpy as np
import pytest

from pipeline.inference.classifier import Classifier
from pipeline.inference.limits import Limits
from tests.support.pictures import saved, smooth
from tests.support.served import tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model"))


PICTURE = saved(smooth())


@pytest.mark.parametrize(
    ("limits", "images", "said"),
    [
        ({"max_images": 2}, [PICTURE] * 3, "^3 images are over the limit of 2 in one call; send fewer at a time$"),
        ({"max_images": 2}, np.zeros((3, 4, 4), np.uint8), "^3 images are over the limit of 2"),
        ({"max_bytes": 99}, [PICTURE], f"^image 0: {len(PICTURE):,} bytes are over the limit of 99$"),
        ({"max_bytes": 99}, [base64.b64encode(PICTURE).decode()], "^image 0: .* bytes are over the limit of 99$"),
        ({"max_pixels": 99}, [PICTURE], "^image 0: 24x24 pixels are over the limit of 99$"),
        ({"max_pixels": 99}, [np.zeros((9, 20), np.uint8)], "^image 0: 20x9 pixels are over the limit of 99$"),
    ],
)
def test_what_is_over_a_limit_is_refused_in_a_sentence(folder, limits, images, said):
    with pytest.raises(ValueError, match=said):
        Classifier(folder, Limits(**limits)).predict(images)


def test_what_is_at_the_limits_is_answered(folder):
    limits = Limits(max_images=2, max_bytes=len(PICTURE), max_pixels=24 * 24)
    text = base64.encodebytes(PICTURE).decode()
    assert len(Classifier(folder, limits).predict([PICTURE, text])) == 2


def test_the_environment_sets_limits(monkeypatch):
    monkeypatch.setenv("HEADSTART_MAX_IMAGES", " 7 ")
    monkeypatch.setenv("HEADSTART_MAX_BYTES", "")
    assert Limits.from_environment() == Limits(max_images=7)
    for wrong in ("0", "-1", "many", "1e3"):
        monkeypatch.setenv("HEADSTART_MAX_PIXELS", wrong)
        with pytest.raises(ValueError, match="HEADSTART_MAX_PIXELS must be a positive whole number"):
            Limits.from_environment()
