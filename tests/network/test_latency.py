import gc

import numpy as np
import pytest
import torch

from pipeline.config.backbone_table import BACKBONES
from pipeline.config.recipe import Recipe
from pipeline.inference.classifier import Classifier
from pipeline.inference.decoding import decode
from pipeline.inference.network import Network
from pipeline.network.build import save_model
from pipeline.network.cut import describe
from pipeline.network.latency import measure, model_bytes

RECIPE = Recipe(backbone="compact", weights="random", cut="input", image_size=32, epochs=1, learning_rate=0.01)


@pytest.fixture(scope="module", params=[1, 3])
def exported(request, tmp_path_factory):
    """A model folder, and images as packed: grey or RGB."""
    folder = tmp_path_factory.mktemp("model")
    spec = describe(RECIPE, BACKBONES["compact"], ("a", "b"), 32, request.param, ("identity", "hflip"))
    save_model(Network(spec), spec, folder)
    return folder, np.random.default_rng(0).integers(0, 256, (3, 32, 32, request.param), dtype=np.uint8)


def test_what_is_measured_is_positive_and_in_order(exported):
    folder, images = exported
    found = measure(folder, images, threads=1, seconds=0.02)
    assert set(found) == {"latency_ms", "images_per_second", "model_bytes"}
    assert list(found["latency_ms"]) == ["1", "32"]
    for batch in found["latency_ms"].values():
        assert 0 < batch["p50"] <= batch["p95"]
        assert batch["cpu"] > 0
        assert batch["calls"] >= 3
    assert found["images_per_second"] == pytest.approx(32_000 / found["latency_ms"]["32"]["p50"])
    assert found["model_bytes"] == sum(file.stat().st_size for file in folder.iterdir())


def test_batches_of_both_sizes_are_image_files_and_are_timed_undisturbed(exported, monkeypatch):
    folder, images = exported
    seen = []

    def watched(_, files):
        seen.append((files, torch.get_num_threads(), gc.isenabled()))

    monkeypatch.setattr(Classifier, "predict", watched)
    measure(folder, images, threads=2, seconds=1e-9)
    assert [len(files) for files, *_ in seen] == [1] * 4 + [32] * 4
    assert {(threads, collected) for _, threads, collected in seen} == {(2, False)}
    decoded = [decode(file, 32, images.shape[3]) for file in seen[-1][0]]
    assert np.array_equal(decoded, images[np.arange(32) % 3])


def test_threads_and_garbage_collection_are_as_before_even_after_a_failure(exported, monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(Classifier, "predict", lambda *_: None)
    measure(*exported, threads=before + 1, seconds=1e-9)
    assert (torch.get_num_threads(), gc.isenabled()) == (before, True)
    monkeypatch.setattr(Classifier, "predict", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        measure(*exported, threads=before + 1)
    assert (torch.get_num_threads(), gc.isenabled()) == (before, True)


def test_files_that_serving_does_not_read_are_not_counted(exported):
    folder, _ = exported
    size = model_bytes(folder)
    (folder / "notes.txt").write_text("x" * 100)
    assert model_bytes(folder) == size
    (folder / "notes.txt").unlink()
