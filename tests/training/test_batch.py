import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training.batch import Batch, Goal
from pipeline.training.mixup import Mixed

GOALS = {"plain": None, "weighted": torch.tensor([1.0, 2.0, 0.5, 1.0, 3.0, 0.1, 1.0])}


def batch(weights=None, mixed=False):
    draw = torch.Generator().manual_seed(0)
    made = Batch(torch.randn(7, 3, generator=draw), Goal(torch.arange(7) % 3, weights))
    return made.mix(Mixed(torch.randperm(7, generator=draw), torch.rand(7, generator=draw)) if mixed else None)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("weights", GOALS)
@given(most=st.integers(1, 9))
def test_the_losses_of_the_parts_add_up_to_that_of_the_whole(weights, mixed, most):
    whole = batch(GOALS[weights], mixed)
    parts = list(whole.parts(most))
    assert torch.equal(torch.cat([part.x for part in parts]), whole.x)
    assert max(map(len, parts)) <= most
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    found = sum(part.loss(part.x, 0.1) * len(part) / len(whole) for part in parts)
    torch.testing.assert_close(found, whole.loss(whole.x, 0.1))


@given(st.integers(3, 40), st.integers(3, 9))
def test_no_part_of_three_or_more_at_once_is_of_a_single_image(count, most):
    whole = Batch(torch.zeros(count, 1), Goal(torch.zeros(count, dtype=torch.int64), None))
    assert min(map(len, whole.parts(most))) > 1


def test_images_are_mixed_with_their_partners_and_so_are_their_losses():
    plain, mixed = batch(), batch(mixed=True)
    share, partner = mixed.mixed.share, mixed.mixed.partner
    torch.testing.assert_close(mixed.x, share[:, None] * plain.x + (1 - share[:, None]) * plain.x[partner])
    own, other = plain.goal.losses(mixed.x, 0.0), plain.goal.of(partner).losses(mixed.x, 0.0)
    torch.testing.assert_close(mixed.loss(mixed.x, 0.0), (share * own + (1 - share) * other).mean())
