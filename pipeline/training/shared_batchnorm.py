"""BatchNorm over the whole batch, where processes have a part of it each."""

from typing import Any

import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from pipeline.training.ranks import Summed


class SharedBatchNorm(TorchFunctionMode):
    """Within this context, BatchNorm that measures its batch measures the parts of all processes together.

    So several devices learn what one would. `torch.nn.SyncBatchNorm` does the same on CUDA alone, and would have to
    take the place of modules that a body shares with its network; here no module knows.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function of torch."""
        called = _batch_norm if func is F.batch_norm else func
        return called(*args, **(kwargs or {}))


def _batch_norm(
    x: torch.Tensor,
    running_mean: torch.Tensor | None,
    running_var: torch.Tensor | None,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> torch.Tensor:
    """Do what `F.batch_norm` does, for x (N, C, ...) of which each process has a part."""
    if not training:
        return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    values, others = x.float(), [0, *range(2, x.ndim)]
    by_channel = (1, -1, *[1] * (x.ndim - 2))
    count = Summed.apply(values.new_tensor(x.numel() // x.shape[1]))
    mean = Summed.apply(values.sum(others)) / count
    centred = values - mean.view(by_channel)
    variance = Summed.apply(centred.square().sum(others)) / count
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(mean, momentum)
            running_var.lerp_(variance * count / (count - 1), momentum)
    found = centred * (variance + eps).rsqrt().view(by_channel)
    if weight is not None:
        found = found * weight.view(by_channel)
    if bias is not None:
        found = found + bias.view(by_channel)
    return found.to(x.dtype)
