"""Convolutions, and the layers between them, as a CPU computes them fastest.

The numbers are the same up to rounding, the bits the same from run to run. Maps are laid out channels last, forward
and backward: batch normalisation then takes a quarter of its time in training, and the other kernels a little less than
theirs. What the libraries do slowly on the way back is done in another way:

- oneDNN has no fast kernel for the weights' gradient of a depthwise convolution wider than 3, and takes ten times as
  long over it as over the convolution. It has one for narrower filters, so a wide one is taken a few columns at a time.
- The inputs' gradient of a depthwise convolution is a convolution too, and runs twice as fast as one.
- Zeros put around a map for a strided convolution (`Conv2dSame` of timm) are left out of its gradients from the start.
- A clamp in place keeps its result for the gradient, not a copy of its input.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

Pair = tuple[int, int]
Sides = Sequence[int]  # left, right, above, below, as F.pad takes them
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
    source, sides = _unpadded(x)
    x = _channels_last(x)
    plain = isinstance(padding, str) or bias is not None or torch.is_autocast_enabled("cpu")
    if plain or not is_depthwise(x, weight, groups) or (weight.shape[3] <= COLUMNS and source is None):
        return F.conv2d(x, weight, bias, stride, padding, dilation, groups)
    height, width = _pair(padding)
    sides = [a + b for a, b in zip(sides, (width, width, height, height))]
    source = x if source is None else _channels_last(source)
    return Depthwise.apply(source, weight, x.detach(), _pair(stride), (height, width), _pair(dilation), sides)


def is_depthwise(x: Tensor, weight: Tensor, groups: int) -> bool:
    """Say whether a convolution has one filter for each channel."""
    return x.shape[1] == groups == weight.shape[0] > 1


class Depthwise(torch.autograd.Function):
    """A depthwise convolution of x (N, C, H, W) with weight (C, 1, h, w), without bias.

    It is taken of `padded`, x with zeros around it or none, and adds `padding`; `sides` are all the zeros around x.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, padded: Tensor, stride: Pair, padding: Pair, dilation: Pair, sides: Sides
    ) -> Tensor:
        """Return (N, C, H', W')."""
        ctx.save_for_backward(x, weight)
        ctx.geometry = stride, sides, dilation
        return F.conv2d(padded, weight, None, stride, padding, dilation, len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x and of weight."""
        x, weight = ctx.saved_tensors
        gradient = _channels_last(gradients[0])
        of_x = _gradient_of_input(gradient, x, weight, *ctx.geometry) if ctx.needs_input_grad[0] else None
        of_weight = _gradient_of_weight(gradient, x, weight, *ctx.geometry) if ctx.needs_input_grad[1] else None
        return of_x, of_weight, None, None, None, None, None


def _gradient_of_input(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: Pair, sides: Sides, dilation: Pair
) -> Tensor:
    """Convolve the gradient, spread out by the stride, with the flipped filters."""
    left, right, above, below = sides
    reach = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:])]
    before, after = (reach[0] - above, reach[1] - left), (reach[0] - below, reach[1] - right)
    if min(*before, *after) < 0:  # outputs that see zeros alone
        height, width = x.shape[2:]
        size = (*x.shape[:2], above + height + below, left + width + right)
        whole = torch.nn.grad.conv2d_input(size, weight, gradient, stride, 0, dilation, len(weight))
        return _channels_last(whole[:, :, above : above + height, left : left + width])
    margin = [min(pair) for pair in zip(before, after)]
    size = tuple(n + r - 2 * m for n, r, m in zip(x.shape[2:], reach, margin))
    if gradient.shape[2:] != size:
        spread = gradient.new_zeros(len(x), *size, len(weight)).permute(0, 3, 1, 2)
        first = [b - m for b, m in zip(before, margin)]
        rows, columns = (slice(f, f + (n - 1) * s + 1, s) for f, n, s in zip(first, gradient.shape[2:], stride))
        spread[:, :, rows, columns] = gradient
        gradient = spread
    return F.conv2d(gradient, weight.flip(2, 3), None, 1, margin, dilation, len(weight))


def _gradient_of_weight(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: Pair, sides: Sides, dilation: Pair
) -> Tensor:
    """Take up to three columns of the filters at a time, for which the library has a fast kernel."""
    channels, _, height, width = weight.shape
    left, _, above, below = sides
    # The library pads both sides alike, and that kernel wants inputs at least as high as the filters.
    rows = (above, below) if above != below or x.shape[2] < dilation[0] * (height - 1) + 1 else (0, 0)
    parts = []
    for first in range(0, width, COLUMNS):
        count = min(COLUMNS, width - first)
        start = left - first * dilation[1]
        span = (gradient.shape[3] - 1) * stride[1] + (count - 1) * dilation[1] + 1
        before = min(max(start, 0), span)
        seen = x[..., max(-start, 0) : max(span - start, 0)]
        seen = _with_zeros(seen, (before, span - before - seen.shape[3], *rows))
        size, around = (channels, 1, height, count), (above - rows[0], 0)
        parts.append(torch.nn.grad.conv2d_weight(seen, size, gradient, stride, around, dilation, channels))
    return torch.cat(parts, 3)


def _with_zeros(x: Tensor, sides: Sides) -> Tensor:
    """Return what F.pad would, of maps channels last; it writes zeros where they belong, F.pad everywhere first."""
    left, right, above, below = sides
    height, width = x.shape[2:]
    size = (len(x), above + height + below, left + width + right, x.shape[1])
    out = x.new_empty(size).permute(0, 3, 1, 2)
    out[:, :, :above].zero_()
    out[:, :, above + height :].zero_()
    out[:, :, above : above + height, :left].zero_()
    out[:, :, above : above + height, left + width :].zero_()
    out[:, :, above : above + height, left : left + width].copy_(x)
    return out


def _pair(value: Any) -> Pair:
    return (value, value) if isinstance(value, int) else (tuple(value) * 2)[:2]


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _pad(input: Tensor, pad: Any, mode: str = "constant", value: float | None = None) -> Tensor:
    """Pad; a depthwise convolution of the result takes its gradient straight to what was padded."""
    padded = F.pad(input, pad, mode, value)
    zeros = mode == "constant" and not value and len(pad) == 4 and min(pad) >= 0
    if zeros and input.requires_grad and input.ndim == 4 and input.device.type == "cpu":
        padded.source = input, tuple(pad), (input._version, padded._version)
    return padded


def _unpadded(x: Tensor) -> tuple[Tensor | None, Sides]:
    """Return what was padded to x and by how much, if neither was written to since."""
    source, sides, versions = getattr(x, "source", (None, (0, 0, 0, 0), ()))
    if source is None or (source._version, x._version) != versions:
        return None, (0, 0, 0, 0)
    return source, sides


def _pool(input: Tensor, output_size: Any) -> Tensor:
    """Pool; the gradient, which comes back in another order, is laid out as the layers before it need it."""
    if not input.requires_grad or input.ndim != 4 or input.device.type != "cpu":
        return F.adaptive_avg_pool2d(input, output_size)
    input.register_hook(_channels_last)
    if output_size in (1, (1, 1)):  # the mean would divide its gradient once for each place
        return input.sum((2, 3), keepdim=True) / (input.shape[2] * input.shape[3])
    return F.adaptive_avg_pool2d(input, output_size)


class Clamp(torch.autograd.Function):
    """A clamp in place. What autograd's own keeps for the gradient is a copy of x; the result tells as much."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: float, high: float) -> Tensor:
        """Return x."""
        ctx.mark_dirty(x.clamp_(low, high))
        ctx.save_for_backward(x)
        ctx.bounds = low, high
        return x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient of x."""
        return torch.ops.aten.hardtanh_backward(gradients[0], *ctx.saved_tensors, *ctx.bounds), None, None


def _clamp(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    exact = input.dtype in (torch.float32, torch.float64)  # others may round a bound, and miss it in the result
    if inplace and exact:
        return Clamp.apply(input, min_val, max_val)
    return F.hardtanh(input, min_val, max_val, inplace)


_STAND_INS = {torch.conv2d: _convolve, F.pad: _pad, F.adaptive_avg_pool2d: _pool, F.hardtanh: _clamp}
