from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pipeline.config.recipe import Recipe
from pipeline.training.batch import Batch, Goal
from pipeline.training.loop import Fit
from pipeline.training.mixup import Mixed
from tests.support.fits import CPU, PLAIN, samples, weighted

GOALS = {"plain": None, "weighted": torch.tensor([1.0, 2.0, 0.5, 1.0, 3.0, 0.1, 1.0])}


def batch(weights=None, mixed=False):
    draw = torch.Generator().manual_seed(0)
    made = Batch(torch.randn(7, 3, generator=draw), Goal(torch.arange(7) % 3, weights))
    return made.mix(Mixed(torch.randperm(7, generator=draw), torch.rand(7, generator=draw)) if mixed else None)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("weights", GOALS)
@given(count=st.integers(1, 7))
def test_the_losses_of_the_parts_add_up_to_that_of_the_whole(weights, mixed, count):
    whole = batch(GOALS[weights], mixed)
    parts = list(whole.parts(count))
    assert len(parts) == count
    assert torch.equal(torch.cat([part.x for part in parts]), whole.x)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    found = sum(part.loss(part.x, 0.1) * len(part) / len(whole) for part in parts)
    torch.testing.assert_close(found, whole.loss(whole.x, 0.1))


def test_images_are_mixed_with_their_partners_and_so_are_their_losses():
    plain, mixed = batch(), batch(mixed=True)
    share, partner = mixed.mixed.share, mixed.mixed.partner
    torch.testing.assert_close(mixed.x, share[:, None] * plain.x + (1 - share[:, None]) * plain.x[partner])
    own, other = plain.goal.losses(mixed.x, 0.0), plain.goal.of(partner).losses(mixed.x, 0.0)
    torch.testing.assert_close(mixed.loss(mixed.x, 0.0), (share * own + (1 - share) * other).mean())


# In parts: because it was asked for, or because memory was short


class Small(nn.Module):
    """A layer for which memory is short where more images come at once than it holds."""

    def __init__(self, holds: int) -> None:
        super().__init__()
        self.holds, self.seen = holds, list[int]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(x))
        if len(x) > self.holds:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return x


def learn(
    holds: int = 99, micro_batch: int | None = None, norm: nn.Module | None = None, data: Any = None, **recipe: Any
) -> tuple[list[float], dict[str, np.ndarray], list[int]]:
    """Train on 12 images for ten steps; return losses, weights and how many images came at once."""
    torch.manual_seed(0)
    small = Small(holds)
    body = nn.Sequential(nn.Linear(3, 5, bias=norm is None), norm or nn.Identity(), small, nn.GELU(), nn.Linear(5, 2))
    wanted = Recipe(**{**PLAIN, "learning_rate": 0.01, "epochs": 10, "batch_size": 12, **recipe})
    fit = Fit(body, wanted, 1, CPU, micro_batch=micro_batch)
    losses = [fit.epoch(data or samples()) for _ in range(10)]
    return losses, {name: tensor.numpy() for name, tensor in body.state_dict().items()}, small.seen


def assert_alike(one, other):
    assert one[0] == pytest.approx(other[0], abs=1e-5)
    for name, value in one[1].items():
        np.testing.assert_allclose(value, other[1][name], atol=1e-5, err_msg=name)


CASES = [{}, {"mixup": 0.4, "gradient_clip": 0.1}, {"class_weight_power": 0.5, "label_smoothing": 0.1, "ema": 0.9}]


@pytest.mark.parametrize("recipe", CASES)
@pytest.mark.parametrize(("micro_batch", "parts"), [(3, [3] * 4), (5, [4] * 3), (6, [6] * 2), (12, [12]), (99, [12])])
def test_in_parts_a_batch_teaches_what_it_does_whole(recipe, micro_batch, parts):
    data = weighted(np.arange(1, 13)) if "class_weight_power" in recipe else samples()
    whole, split = learn(data=data, **recipe), learn(micro_batch=micro_batch, data=data, **recipe)
    assert_alike(split, whole)
    assert split[2] == parts * 10


@pytest.mark.parametrize("recipe", CASES)
def test_where_memory_is_short_fewer_images_go_through_at_once_to_the_same_end(recipe):
    found = learn(holds=4, **recipe)
    assert_alike(found, learn(**recipe))
    assert found[2] == [12, 6] + [3] * 40  # halved until it fits, and then left so


def test_batchnorm_that_measures_batches_is_not_given_smaller_ones_on_the_sly():
    with pytest.raises(torch.OutOfMemoryError):
        learn(holds=4, norm=nn.BatchNorm1d(5))
    kept = {"batchnorm": "keep"}
    assert_alike(learn(holds=4, norm=nn.BatchNorm1d(5), **kept), learn(norm=nn.BatchNorm1d(5), **kept))


def test_where_not_even_one_image_fits_the_error_comes_through():
    with pytest.raises(torch.OutOfMemoryError):
        learn(holds=0)
