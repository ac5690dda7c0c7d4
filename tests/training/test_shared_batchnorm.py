import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.training.shared_batchnorm import SharedBatchNorm

NORMS = {"maps": (nn.BatchNorm2d(3), (6, 3, 4, 5)), "vectors": (nn.BatchNorm1d(3), (6, 3)),
         "plain": (nn.BatchNorm2d(3, affine=False, track_running_stats=False), (6, 3, 4, 5)),
         "cumulative": (nn.BatchNorm2d(3, momentum=None), (6, 3, 2, 2))}  # fmt: skip


def passed(norm, x, shared):
    """Return outputs, the gradients of inputs and parameters, and statistics, after two batches."""
    copy = type(norm)(3, momentum=norm.momentum, affine=norm.affine, track_running_stats=norm.track_running_stats)
    x = x.clone().requires_grad_()
    for _ in range(2):
        if shared:
            with SharedBatchNorm():
                out = copy(x)
                out.square().sin().sum().backward()
        else:
            out = copy(x)
            out.square().sin().sum().backward()
    return [out, x.grad, *(p.grad for p in copy.parameters()), *copy.buffers()]


@pytest.mark.parametrize("kind", NORMS)
def test_over_a_batch_that_is_not_shared_it_is_the_usual_one(kind):
    norm, shape = NORMS[kind]
    x = 3 + 2 * torch.randn(shape, generator=torch.Generator().manual_seed(0))
    for found, expected in zip(passed(norm, x, True), passed(norm, x, False), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_large_mean_costs_no_precision():
    x = 1000 + torch.randn(64, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    with SharedBatchNorm():
        found = F.batch_norm(x, None, None, training=True)
    expected = F.batch_norm(x.double(), None, None, training=True).float()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_half_precision_comes_and_goes():
    with SharedBatchNorm():
        found = F.batch_norm(torch.randn(4, 3, 2, 2, dtype=torch.bfloat16), None, None, training=True)
    assert found.dtype == torch.bfloat16


def test_statistics_that_are_kept_and_all_other_functions_are_left_alone():
    norm, x = nn.BatchNorm2d(3).eval(), torch.randn(2, 3, 4, 4)
    with SharedBatchNorm():
        assert torch.equal(norm(x), nn.BatchNorm2d(3).eval()(x))
        assert torch.equal(F.relu(x), x.clamp(min=0))
