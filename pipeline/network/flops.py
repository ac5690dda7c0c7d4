"""Cost without noise: floating-point operations and parameters, which are the same on every machine."""

from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count


def forward_flops(module: nn.Module, example: torch.Tensor) -> int:
    """Count the operations of a forward pass of one image; `example` has the shape (1, ...)."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        _in_eval_mode(module, example)
    return counter.get_total_flops()


def training_flops(module: nn.Module, example: torch.Tensor) -> int:
    """Count the operations of a forward and backward pass of one image; `example` has the shape (1, ...)."""
    if not any(p.requires_grad for p in module.parameters()):
        return 0
    counted = {torch.ops.aten.convolution_backward: _convolution_backward_flops}
    with FlopCounterMode(display=False, custom_mapping=counted) as counter:
        _in_eval_mode(module, example).sum().backward()
    module.zero_grad()
    return counter.get_total_flops()


def _convolution_backward_flops(
    gradient: Any, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool,
    output_padding: Any, groups: int, wanted: list[bool], **rest: Any,
) -> int:  # fmt: skip
    """Count each gradient of a convolution, by its input and by its weights, like the convolution itself.

    PyTorch's own formula counts the weight gradient of a grouped convolution as that of a dense one.
    """
    return sum(wanted[:2]) * int(conv_flop_count(x, weight, gradient, transposed))


def _in_eval_mode(module: nn.Module, example: torch.Tensor) -> torch.Tensor:
    """Run a module on one example in eval mode, since BatchNorm cannot train on one image; restore its modes."""
    modes = {child: child.training for child in module.modules()}
    try:
        return module.eval()(example)
    finally:
        for child, training in modes.items():
            child.training = training


def count_parameters(module: nn.Module) -> int:
    """Count a module's parameters."""
    return sum(p.numel() for p in module.parameters())
