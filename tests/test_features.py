from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pipeline import models
from pipeline.data import ImageSet
from pipeline.features import Cached, Live, Pixels, cached, weights_digest
from pipeline.network import stages
from pipeline.recipe import Recipe
from pipeline.serving import apply_view

CPU = torch.device("cpu")
IDENTITY, BOTH = ("identity",), ("identity", "hflip")


def build(images: ImageSet, seed: int = 1, **recipe: Any) -> list[nn.Module]:
    plain = {"backbone": "compact", "weights": "random", "cut": "input", "epochs": 1, "learning_rate": 0.001}
    return stages(models.build(Recipe(**{**plain, "image_size": 32, **recipe}), images, seed))


@pytest.fixture
def network(image_set):
    """The stages of a small network."""
    return build(image_set)


def run(network: Sequence[nn.Module], cut: int, images: ImageSet, cache: Path, **wanted: Any) -> Cached:
    return cached(network, cut, images, **{"views": IDENTITY, "cache": cache, "device": CPU, **wanted})


def files(cache: Path) -> dict[str, int]:
    """Return when each file in the cache was written."""
    return {path.name: path.stat().st_mtime_ns for path in cache.iterdir()}


def whole(inputs: Cached, view: int = 0) -> torch.Tensor:
    rows = np.arange(len(inputs.activations[0]))
    return inputs.take(rows, np.full(len(rows), view))


def live(network: Sequence[nn.Module], cut: int, images: ImageSet, view: str = "identity") -> torch.Tensor:
    rows = np.arange(len(images))
    return Live(nn.Sequential(*network[:cut]), Pixels(images.images, (view,))).take(rows, np.zeros(len(rows), int))


def test_a_second_call_computes_nothing(network, image_set, tmp_path):
    counted: list[int] = []
    first = run(network, 2, image_set, tmp_path, views=BOTH, progress=counted.append)
    written = files(tmp_path)
    assert sum(counted) == len(written) * len(image_set) == 2 * len(image_set)
    second = run(network, 2, image_set, tmp_path, views=BOTH, progress=counted.append)
    assert sum(counted) == 2 * len(image_set)
    assert files(tmp_path) == written
    assert torch.equal(whole(first, 1), whole(second, 1))


@pytest.mark.parametrize("cut", [1, 3, 4])
def test_what_is_cached_is_what_the_stem_makes(network, cut, image_set, tmp_path):
    inputs = run(network, cut, image_set, tmp_path, views=BOTH)
    for number, view in enumerate(BOTH):
        torch.testing.assert_close(whole(inputs, number), live(network, cut, image_set, view), rtol=2e-3, atol=2e-3)
    assert not torch.equal(whole(inputs, 0), whole(inputs, 1))


def test_maps_are_kept_in_half_precision_and_vectors_in_single(network, image_set, tmp_path):
    maps, vectors = (run(network, cut, image_set, tmp_path).activations[0] for cut in (2, 4))
    assert (maps.ndim, maps.dtype) == (4, np.float16)
    assert (vectors.ndim, vectors.dtype) == (2, np.float32)
    assert whole(Cached([maps])).dtype == torch.float32


CHANGES: dict[str, Any] = {
    "image": lambda images: {"images": replace(images, digest="another")},
    "weight": lambda images: {"network": build(images, seed=2)},
    "structure": lambda images: {"network": build(images, backbone="efficientnet_lite0")},
    "image size": lambda images: {"network": build(images, image_size=24)},
    "cut": lambda images: {"cut": 3},
    "view": lambda images: {"views": ("vflip",)},
}


@pytest.mark.parametrize("change", CHANGES)
def test_all_that_changes_the_features_changes_the_file(change, image_set, tmp_path):
    plain = {"network": build(image_set), "cut": 2, "images": image_set, "cache": tmp_path}
    run(**plain)
    before = files(tmp_path)
    run(**{**plain, **CHANGES[change](image_set)})
    assert len(files(tmp_path)) == 2, f"another {change} was taken for the same features"
    run(**{**plain, "network": build(image_set)})
    assert before.items() <= files(tmp_path).items()
    assert len(files(tmp_path)) == 2


def test_a_single_changed_weight_or_statistic_counts_and_one_behind_the_cut_does_not(network, image_set, tmp_path):
    def count():
        run(network, 2, image_set, tmp_path)
        return len(files(tmp_path))

    assert count() == 1
    with torch.no_grad():
        next(network[2].parameters())[0] += 1e-6
    assert count() == 1
    with torch.no_grad():
        next(network[1].parameters())[0] += 1e-6
    assert count() == 2
    next(buffer for name, buffer in network[0].named_buffers() if "running_var" in name)[0] += 1e-6
    assert count() == 3


@pytest.mark.parametrize("died_at", [1, 2])
def test_a_half_written_file_is_never_used(network, died_at, image_set, tmp_path):
    calls: list[int] = []

    def die(count):
        calls.append(count)
        if len(calls) == died_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(network, 2, image_set, tmp_path, views=BOTH, progress=die)
    assert len(files(tmp_path)) == died_at - 1
    assert torch.equal(
        whole(run(network, 2, image_set, tmp_path, views=BOTH), 1),
        whole(run(network, 2, image_set, tmp_path / "other", views=BOTH), 1),
    )


def test_what_a_killed_process_left_behind_is_not_taken_for_features(network, image_set, tmp_path):
    run(network, 2, image_set, tmp_path)
    file = next(tmp_path.iterdir())
    expected = file.read_bytes()
    file.rename(file.with_name(f".{file.name}.1"))
    file.with_name(f".{file.name}.1").write_bytes(expected[: len(expected) // 2])
    run(network, 2, image_set, tmp_path)
    assert file.read_bytes() == expected


def test_one_pass_serves_several_cuts(network, image_set, tmp_path):
    counted: list[int] = []
    for cut in (2, 3, 1):
        together = run(network, cut, image_set, tmp_path / "a", also=[1, 2, 3], progress=counted.append)
        assert torch.equal(whole(together), whole(run(network, cut, image_set, tmp_path / "b")))
    assert sum(counted) == len(image_set)
    assert files(tmp_path / "a").keys() == files(tmp_path / "b").keys()


def test_a_later_pass_keeps_what_is_there(network, image_set, tmp_path):
    run(network, 1, image_set, tmp_path)
    before = files(tmp_path)
    run(network, 3, image_set, tmp_path, also=[1, 2])
    assert before.items() <= files(tmp_path).items()
    assert len(files(tmp_path)) == 3


@given(st.data())
def test_a_batch_takes_each_row_from_the_view_asked_for(data):
    arrays = [np.random.default_rng(view).normal(size=(7, 2)).astype(np.float32) for view in range(3)]
    pairs = data.draw(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2)), min_size=1))
    rows, views = (np.array(part) for part in zip(*pairs))
    expected = np.stack([arrays[view][row] for row, view in pairs])
    assert np.array_equal(Cached(arrays).take(rows, views).numpy(), expected)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), min_size=1))
def test_pixels_show_each_row_as_its_view_does(pairs):
    names = ("identity", "rot90", "vflip")
    images = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 3), dtype=np.uint8)
    rows, views = (np.array(part) for part in zip(*pairs))
    batch = Pixels(images, names).take(rows, views)
    assert batch.dtype == torch.float32
    for shown, (row, view) in zip(batch, pairs):
        assert torch.equal(shown, apply_view(torch.from_numpy(images[row]).permute(2, 0, 1), names[view]).float())


def test_digests_tell_structures_apart_that_hold_the_same_weights():
    def digest(*modules):
        return weights_digest(nn.Sequential(*modules))

    assert digest(nn.ReLU(), nn.AvgPool2d(2)) == digest(nn.ReLU(), nn.AvgPool2d(2))
    assert digest(nn.ReLU(), nn.AvgPool2d(2)) != digest(nn.ReLU(), nn.AvgPool2d(3))
    assert digest(nn.ReLU()) != digest(nn.GELU())
