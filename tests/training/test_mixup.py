import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.training.mixup import Mixer
from tests.support.fits import fit, plain, samples, weighted


@pytest.mark.parametrize("shape", [(8, 3), (8, 2, 4, 4)])
def test_inputs_are_weighted_means_of_two(shape):
    """Pixels and feature maps alike."""
    x = torch.arange(8.0).view(-1, *[1] * (len(shape) - 1)).expand(shape)
    mixed = Mixer(0.5, 0).draw(8)
    out = mixed.inputs(x)
    expected = mixed.share * torch.arange(8.0) + (1 - mixed.share) * mixed.partner
    torch.testing.assert_close(out, expected.view(-1, *[1] * (len(shape) - 1)).expand(shape))


def test_shares_and_partners_follow_from_the_seed_and_differ_from_batch_to_batch():
    one, same, other = Mixer(0.5, 1), Mixer(0.5, 1), Mixer(0.5, 2)
    first = one.draw(16)
    assert torch.equal(first.share, same.draw(16).share)
    assert not torch.equal(first.share, one.draw(16).share)
    assert not torch.equal(first.share, other.draw(16).share)
    assert sorted(first.partner.tolist()) == list(range(16))


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_shares_have_the_variance_of_a_beta_distribution(alpha):
    share = Mixer(alpha, 0).draw(20_000).share
    assert float(share.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(share.var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), abs=0.005)


def test_mixed_losses_are_weighted_means():
    by = plain(mixup=0.5, learning_rate=1e-30)
    torch.nn.init.zeros_(by.body[2].weight)
    torch.nn.init.zeros_(by.body[2].bias)  # each loss is log 3, whatever it is mixed with
    assert by.epoch(weighted(None, [0, 1, 2] * 4)) == pytest.approx(math.log(3), rel=1e-6)


def test_mixup_lowers_no_more_than_it_must():
    """Labels that are mixed cannot be named with certainty: the training loss stays above that without."""
    data = samples(views=1)
    data = replace(data, labels=(data.inputs.values[0, :, 0] > 0).astype(np.int64))
    losses = []
    for mixup in (0.0, 1.0):
        by = fit(epochs=30, learning_rate=0.03, batch_size=12, mixup=mixup)
        by.body[2].p = 0.0
        losses.append([by.epoch(data) for _ in range(30)][-1])
    assert losses[0] < 0.7 * losses[1]
