"""Convolutions as a CPU computes them fastest: the same numbers up to rounding, the same bits from run to run.

oneDNN has no fast kernel for the weights' gradient of a depthwise convolution wider than 3, and takes ten times as
long over it as over the convolution. It has one for narrower filters, so a wide one is taken a few columns at a time.
Everything else is only laid out channels last: batch normalisation then takes a quarter of its time in training, and
the other kernels a little less than theirs.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

Pair = tuple[int, int]
COLUMNS = 3  # of a filter, at most, in the kernel for weights' gradients


class FastConvolutions(TorchFunctionMode):
    """Within this context, convolutions of maps on a CPU run channels last, wide depthwise ones with fast gradients.

    Modules, parameters and their names stay as they are; other calls pass untouched.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the function, or what stands in for it."""
        return _STAND_INS.get(func, func)(*args, **(kwargs or {}))


def _convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Tensor:  # fmt: skip
    if x.ndim != 4 or x.device.type != "cpu":
        return F.conv2d(x, weight, bias, stride, padding, dilation, groups)
    x = x.contiguous(memory_format=torch.channels_last)
    plain = isinstance(padding, str) or bias is not None or torch.is_autocast_enabled("cpu")
    if plain or not is_wide_depthwise(x, weight, groups):
        return F.conv2d(x, weight, bias, stride, padding, dilation, groups)
    return Depthwise.apply(x, weight, _pair(stride), _pair(padding), _pair(dilation))


def is_wide_depthwise(x: Tensor, weight: Tensor, groups: int) -> bool:
    """Say whether a convolution has one filter for each channel, wider than 3."""
    return x.shape[1] == groups == weight.shape[0] > 1 and weight.shape[3] > 3


class Depthwise(torch.autograd.Function):
    """A depthwise convolution of x (N, C, H, W) with weight (C, 1, h, w), without bias."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
        """Return (N, C, H', W')."""
        ctx.save_for_backward(x, weight)
        ctx.geometry = stride, padding, dilation
        return F.conv2d(x, weight, None, stride, padding, dilation, len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x and of weight."""
        x, weight = ctx.saved_tensors
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        of_x = _gradient_of_input(gradient, x, weight, *ctx.geometry) if ctx.needs_input_grad[0] else None
        of_weight = _gradient_of_weight(gradient, x, weight, *ctx.geometry) if ctx.needs_input_grad[1] else None
        return of_x, of_weight, None, None, None


def _gradient_of_input(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair
) -> Tensor:
    """At stride 1, convolve the gradient with the flipped weights: twice as fast as the library's own way."""
    margin = [d * (k - 1) - p for d, k, p in zip(dilation, weight.shape[2:], padding)]
    if stride == (1, 1) and min(margin) >= 0:
        return F.conv2d(gradient, weight.flip(2, 3), None, 1, margin, dilation, len(weight))
    return torch.nn.grad.conv2d_input(x.shape, weight, gradient, stride, padding, dilation, len(weight))


def _gradient_of_weight(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair
) -> Tensor:
    """Take up to three columns of the filters at a time, for which the library has a fast kernel."""
    channels, _, height, width = weight.shape
    # That kernel also wants inputs at least as high as the filters: lower ones are padded here.
    above = padding[0] if x.shape[2] < dilation[0] * (height - 1) + 1 else 0
    parts = []
    for first in range(0, width, COLUMNS):
        count = min(COLUMNS, width - first)
        left = padding[1] - first * dilation[1]
        span = (gradient.shape[3] - 1) * stride[1] + (count - 1) * dilation[1] + 1
        before = min(max(left, 0), span)
        seen = x[..., max(-left, 0) : max(span - left, 0)]
        seen = F.pad(seen, (before, span - before - seen.shape[3], above, above))
        size, around = (channels, 1, height, count), (padding[0] - above, 0)
        parts.append(torch.nn.grad.conv2d_weight(seen, size, gradient, stride, around, dilation, channels))
    return torch.cat(parts, 3)


def _pair(value: Any) -> Pair:
    return (value, value) if isinstance(value, int) else (tuple(value) * 2)[:2]


def _pool(input: Tensor, output_size: Any) -> Tensor:
    """Pool; the gradient, which comes back in another order, is laid out as the layers before it need it."""
    if input.requires_grad and input.ndim == 4 and input.device.type == "cpu":
        input.register_hook(lambda gradient: gradient.contiguous(memory_format=torch.channels_last))
    return F.adaptive_avg_pool2d(input, output_size)


_STAND_INS = {torch.conv2d: _convolve, F.adaptive_avg_pool2d: _pool}
