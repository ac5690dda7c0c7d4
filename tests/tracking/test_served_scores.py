import io
import os

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before mlflow loads: tests are offline

import numpy as np
import pytest
from PIL import Image

from pipeline.common.errors import UserError
from pipeline.inference.classifier import Classifier
from pipeline.tracking import logged_models, served_scores
from pipeline.tracking.client import KEY
from pipeline.tracking.registry import Registry

DIGEST = "0123456789abcdef"


@pytest.fixture
def registry(tracking_uri, tmp_path):
    return Registry(tmp_path, "tiny-model")


@pytest.fixture
def version(registry, client, run, model):
    """A registered version of the model of seed 1."""
    logged = logged_models.find_or_log(client, run, model(1), "frozen", {})
    return registry.version(str(registry.add(logged, [], {KEY: "key-1"})))


@pytest.fixture(scope="module")
def images():
    """More image files than are asked about at once."""
    rng, files = np.random.default_rng(0), []
    for _ in range(served_scores.AT_ONCE + 3):
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(file := io.BytesIO(), "PNG")
        files.append(file.getvalue())
    return files


def test_a_clean_process_says_what_the_model_says_here(registry, version, model, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")  # a path from here
    found = served_scores.served(registry, version, images, threads=1)
    expected = Classifier(model(1)).predict(images)
    assert list(found) == ["low", "top"]
    np.testing.assert_allclose(found.to_numpy(), expected[["p_low", "p_top"]].to_numpy(), atol=1e-6)


def test_what_cannot_be_answered_is_told_in_a_line(registry, version, images):
    with pytest.raises(served_scores.UnservableError, match=r"models:/tiny-model/1 gives no answer: .*image 1"):
        served_scores.served(registry, version, [images[0], b"junk"], threads=1)


def test_images_that_cannot_be_read_are_no_fault_of_the_model(registry, version):
    def contents():
        raise UserError("lost.png: no such file")
        yield b""

    with pytest.raises(UserError, match="lost") as caught:
        served_scores.served(registry, version, contents(), threads=1)
    assert not isinstance(caught.value, served_scores.UnservableError)
    with pytest.raises(UserError, match="there are no images"):
        served_scores.served(registry, version, [], threads=1)


@pytest.fixture
def table():
    import pandas as pd

    return pd.DataFrame({"low": [0.25, 1 / 3], "id": [0.75, 2 / 3]}, index=["00ff", "123e4"])


def test_what_was_found_is_kept_once_and_read_back(registry, version, table):
    assert served_scores.kept(registry, version, DIGEST) is None
    served_scores.keep(registry, version, DIGEST, table)
    served_scores.keep(registry, version, DIGEST, table + 1)
    found = served_scores.kept(registry, version, DIGEST)
    assert (list(found), list(found.index)) == (["low", "id"], ["00ff", "123e4"])
    assert served_scores.largest_gap(found, table) < 1e-11
    assert served_scores.kept(registry, version, "another") is None


def test_what_is_kept_and_was_cut_off_or_lost_is_not_believed(registry, version, table, tmp_path):
    served_scores.keep(registry, version, DIGEST, table)
    (file,) = tmp_path.rglob(f"version-1-{DIGEST}.csv")
    file.write_text(file.read_text()[:20])
    assert served_scores.kept(registry, version, DIGEST) is None
    file.unlink()
    assert served_scores.kept(registry, version, DIGEST) is None
