"""What a stem makes, batch by batch; that the cache keeps it is in test_features."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pipeline.inference.network import Preprocess, apply_view
from pipeline.training.feature_pass import HalfOverflowError, Pixels, fill, shapes, storage, weights_digest
from tests.support.imports import PACKAGE, counted_modules

CPU = torch.device("cpu")


class Scale(nn.Module):
    """Multiply by a number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.register_buffer("factor", torch.tensor(factor))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factor


def noise(count: int = 5, size: int = 6) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 256, (count, size, size, 3), dtype=np.uint8)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), min_size=1))
def test_pixels_show_each_row_as_its_view_does(pairs):
    names = ("identity", "rot90", "vflip")
    images = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 3), dtype=np.uint8)
    rows, views = (np.array(part) for part in zip(*pairs))
    batch = Pixels(images, names).take(rows, views)
    assert batch.dtype == torch.float32
    for shown, (row, view) in zip(batch, pairs):
        assert torch.equal(shown, apply_view(torch.from_numpy(images[row]).permute(2, 0, 1), names[view]).float())


def maps(stem: nn.ModuleList, images: np.ndarray, dtype: type[np.floating]) -> dict[int, np.ndarray]:
    made = shapes(list(stem), Pixels(images, ("identity",)), CPU)
    return {at: np.full(shape, np.nan, dtype) for at, shape in made.items()}


@pytest.mark.parametrize("count", [1, 64, 130])
def test_every_image_is_run_through_every_stage_once(count):
    images, counted = noise(count), []
    stem = nn.ModuleList([Scale(0.5), nn.Flatten()])
    made = maps(stem, images, np.float32)
    fill(made, stem, Pixels(images, ("hflip",)), CPU, counted.append)
    shown = images[:, :, ::-1].transpose(0, 3, 1, 2) / 2
    assert np.array_equal(made[1], shown)
    assert np.array_equal(made[2], shown.reshape(count, -1))
    assert sum(counted) == count


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(("largest", "fits"), [(65504, True), (65505, False), (float("inf"), False)])
@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_past_half_precision_is_found_wherever_it_is(channels_last, largest, fits, sign):
    images = np.ones((130, 4, 4, 3), np.uint8)
    images[129, 3, 2, 1] = 2
    layout = torch.channels_last if channels_last else torch.contiguous_format

    class Stage(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.where(x == 2, sign * float(largest), x).to(memory_format=layout)

    stem, counted = nn.ModuleList([Stage()]), []
    made = maps(stem, images, np.float16)
    if fits:
        fill(made, stem, Pixels(images, ("identity",)), CPU, counted.append)
        assert made[1][129, 1, 3, 2] == sign * largest
    else:
        with pytest.raises(HalfOverflowError) as caught:
            fill(made, stem, Pixels(images, ("identity",)), CPU, counted.append)
        assert caught.value.cuts == {1}
        assert sum(counted) == 0, "images that are passed again were counted twice"


def test_maps_are_stored_in_half_precision_unless_asked_otherwise_and_vectors_in_single():
    assert storage((9, 4, 2, 2)) == np.float16
    assert storage((9, 4, 2, 2), single=True) == storage((9, 4)) == np.float32


def test_only_the_code_that_features_are_keyed_by_runs_while_they_are_made():
    used = set()

    def note(frame, event, arg):
        used.add(Path(frame.f_code.co_filename))

    images, stem = noise(), nn.ModuleList([Preprocess(4, [0.5] * 3, [0.5] * 3), nn.AvgPool2d(2)])
    made = maps(stem, images, np.float16)
    sys.setprofile(note)
    try:
        fill(made, stem, Pixels(images, ("rot90",)), CPU, lambda done: None)
    finally:
        sys.setprofile(None)
    ours = {file.relative_to(PACKAGE).with_suffix("").as_posix() for file in used if PACKAGE in file.parents}
    wanted = {"inference/network", "network/devices", "training/feature_pass"}
    assert ours == wanted <= counted_modules("features")


def test_digests_tell_structures_apart_that_hold_the_same_weights():
    def digest(*modules):
        return weights_digest(nn.Sequential(*modules))

    assert digest(nn.ReLU(), nn.AvgPool2d(2)) == digest(nn.ReLU(), nn.AvgPool2d(2))
    assert digest(nn.ReLU(), nn.AvgPool2d(2)) != digest(nn.ReLU(), nn.AvgPool2d(3))
    assert digest(nn.ReLU()) != digest(nn.GELU())


def test_digests_tell_layouts_types_and_values_apart():
    def convolution() -> nn.Module:
        torch.manual_seed(0)
        return nn.Conv2d(3, 4, 3)

    with torch.no_grad():
        changed = convolution()
        changed.weight[3, 2, 1, 0] = torch.nextafter(changed.weight[3, 2, 1, 0], torch.tensor(9.0))
    last = convolution().to(memory_format=torch.channels_last)
    different = [convolution(), convolution().double(), convolution().bfloat16(), last, changed]
    assert len({weights_digest(module) for module in different}) == len(different)
    assert weights_digest(convolution()) == weights_digest(convolution())


def test_buffers_that_are_not_saved_count_too():
    def module(value: float) -> nn.Module:
        made = nn.Identity()
        made.register_buffer("offset", torch.tensor(value), persistent=False)
        return made

    assert weights_digest(module(1.0)) != weights_digest(module(2.0))
