import contextlib
import copy
from typing import Any

import pytest
import timm
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from pipeline.network.cpu_convolution import Depthwise, FastConvolutions, _with_zeros
from pipeline.network.flops import training_flops

PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))
MARGINS = st.tuples(st.integers(0, 5), st.integers(0, 5))
FILTERS = st.tuples(st.integers(1, 7), st.integers(4, 8))
SIDES = st.tuples(st.integers(1, 11), st.integers(1, 11))


def noise(*shape: int, **wanted: Any) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), **wanted)


def gradients(of: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """Return what a module makes of x, and the gradients of x and of its parameters."""
    x = x.clone().requires_grad_()
    out = of(x)
    wanted = [x, *of.parameters()]
    return [out.detach(), *torch.autograd.grad((out * noise(*out.shape)).sum(), wanted)]


def fast(of: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    with FastConvolutions():
        return gradients(of, x)


def assert_equal_to_rounding(left: list[torch.Tensor], right: list[torch.Tensor], share: float = 1e-4) -> None:
    for a, b in zip(left, right, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=share * float(b.abs().max()) + 1e-7)


def depthwise(channels: int, size: Any, **wanted: Any) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(channels, channels, size, groups=channels, bias=False, **wanted)


@given(st.integers(1, 3), st.integers(2, 20), SIDES, FILTERS, PAIRS, MARGINS, PAIRS)
@example(1, 2, (1, 1), (1, 10), (1, 1), (0, 5), (1, 1))  # whose first columns see padding alone
def test_a_wide_depthwise_convolution_has_the_gradients_of_the_plain_one(n, c, sides, size, stride, padding, dilation):
    spans = [d * (k - 1) + 1 for k, d in zip(size, dilation)]
    assume(all(side + 2 * margin >= span for side, margin, span in zip(sides, padding, spans)))
    convolution = depthwise(c, size, stride=stride, padding=padding, dilation=dilation)
    x = noise(n, c, *sides)
    assert_equal_to_rounding(fast(convolution, x), gradients(convolution, x))


@given(st.integers(1, 8), SIDES, st.tuples(*[st.integers(0, 4)] * 4), PAIRS, MARGINS)
def test_a_padded_depthwise_convolution_has_the_gradients_of_the_plain_one(side, sides, pad, stride, padding):
    assume(all(n + pad[2 - 2 * i] + pad[3 - 2 * i] + 2 * padding[i] >= side for i, n in enumerate(sides)))
    layers = nn.Sequential(nn.ZeroPad2d(pad), depthwise(4, side, stride=stride, padding=padding))
    x = noise(2, 4, *sides)
    assert_equal_to_rounding(fast(layers, x), gradients(layers, x))


@given(SIDES, st.tuples(*[st.integers(0, 3)] * 4))
def test_zeros_around_a_map_are_those_of_pad(sides, pad):
    x = noise(2, 3, *sides).contiguous(memory_format=torch.channels_last)
    found = _with_zeros(x, pad)
    assert torch.equal(found, F.pad(x, pad))
    assert found.is_contiguous(memory_format=torch.channels_last)


def padded_twice_used(x: torch.Tensor, convolution: nn.Module) -> torch.Tensor:
    padded = F.pad(x * 1, (1, 2, 1, 2))
    return convolution(padded) + padded.sum()


def written_to_before(x: torch.Tensor, convolution: nn.Module) -> torch.Tensor:
    source = x * 1
    padded = F.pad(source, (1, 2, 1, 2))
    source.mul_(3)
    return convolution(padded)


def written_to_after(x: torch.Tensor, convolution: nn.Module) -> torch.Tensor:
    return convolution(F.pad(x * 1, (1, 2, 1, 2)).add_(3))


def padded_with_ones(x: torch.Tensor, convolution: nn.Module) -> torch.Tensor:
    return convolution(F.pad(x, (1, 2, 1, 2), value=1.0))


def cropped(x: torch.Tensor, convolution: nn.Module) -> torch.Tensor:
    return convolution(F.pad(x, (1, 2, -1, -1)))


@pytest.mark.parametrize("use", [padded_twice_used, written_to_before, written_to_after, padded_with_ones, cropped])
def test_whatever_else_is_done_with_a_padded_map_is_the_plain_thing(use):
    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = depthwise(4, 5, stride=2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return use(x, self.convolution)

    layer, x = Layer(), noise(2, 4, 8, 8)
    assert_equal_to_rounding(fast(layer, x), gradients(layer, x))


@pytest.mark.parametrize("side", [3, 5])
def test_the_gradient_passes_by_the_zeros_that_were_put_around_a_map(side):
    x = noise(2, 4, 8, 8).contiguous(memory_format=torch.channels_last).requires_grad_() * 1
    with FastConvolutions():
        out = depthwise(4, side, stride=2)(F.pad(x, (1, 2, 1, 2)))
    assert out.grad_fn.next_functions[0][0] is x.grad_fn


@pytest.mark.parametrize("bounds", [(0.0, 6.0), (-1.0, 1.0), (0.1, 0.7), (0.0, float("inf"))])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_clamp_in_place_has_the_gradient_of_the_plain_one_at_its_bounds_too(bounds, dtype):
    low, high = (torch.tensor(bound, dtype=dtype) for bound in bounds)
    near = torch.tensor([-9.0, 0.0, 0.5, 9.0, float("nan"), low, high])
    start = torch.cat([near, near.nextafter(near - 1), near.nextafter(near + 1)]).to(dtype)
    found = []
    for context in (FastConvolutions(), contextlib.nullcontext()):
        x = start.clone().requires_grad_()
        with context:
            y = x * 1
            out = F.hardtanh(y, *bounds, inplace=True)
        assert out.data_ptr() == y.data_ptr()
        found.append((out, *torch.autograd.grad(out.sum(), x)))
    for a, b in zip(*found):
        torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)


def test_a_clamp_in_place_copies_nothing():
    kept = []
    with FastConvolutions(), torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        out = F.relu6(noise(2, 3).requires_grad_() + 1)
        kept.clear()
        out = nn.ReLU6(inplace=True)(out + 1)
    assert [x.data_ptr() for x in kept] == [out.data_ptr()]


@pytest.mark.parametrize("inplace", [True, False])
def test_a_view_or_a_parameter_is_clamped_as_ever(inplace):
    x = noise(4, 4).requires_grad_()
    with FastConvolutions():
        (F.hardtanh((x * 1)[:2], inplace=inplace).sum() + F.hardtanh(x).sum()).backward()
        with pytest.raises(RuntimeError, match="leaf"):
            F.hardtanh(x, inplace=True)
    inside = (x.detach().abs() < 1).float()
    assert torch.equal(x.grad, inside + inside * torch.tensor([[1.0], [1.0], [0.0], [0.0]]))


@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (1, 2)])
@pytest.mark.parametrize("padding", [(0, 0), (2, 2), (5, 1)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1)])
def test_the_derivatives_are_those_of_finite_differences(stride, padding, dilation):
    x = noise(2, 3, 9, 7, dtype=torch.float64, requires_grad=True)
    weight = noise(3, 1, 5, 4, dtype=torch.float64, requires_grad=True)
    sides = (padding[1], padding[1], padding[0], padding[0])
    of = lambda x, weight: Depthwise.apply(x, weight, x.detach(), stride, padding, dilation, sides)  # noqa: E731
    assert torch.autograd.gradcheck(of, (x, weight))


@pytest.mark.parametrize("frozen", ["x", "weight"])
def test_what_needs_no_gradient_gets_none(frozen):
    tensors = {"x": noise(2, 3, 8, 8, requires_grad=True), "weight": noise(3, 1, 5, 5, requires_grad=True)}
    tensors[frozen].requires_grad_(False)
    seen = tensors["x"].detach()
    Depthwise.apply(*tensors.values(), seen, (1, 1), (2, 2), (1, 1), (2, 2, 2, 2)).sum().backward()
    assert {name for name, tensor in tensors.items() if tensor.grad is None} == {frozen}


LAYERS = {
    "pointwise": nn.Conv2d(6, 4, 1),
    "dense": nn.Conv2d(6, 4, 3, padding=1),
    "grouped": nn.Conv2d(6, 4, 5, groups=2),
    "narrow depthwise": nn.Conv2d(6, 6, 3, groups=6),
    "depthwise with bias": nn.Conv2d(6, 6, 5, groups=6),
    "padded by name": nn.Conv2d(6, 6, 5, groups=6, padding="same", bias=False),
    "reflecting": nn.Conv2d(6, 6, 5, groups=6, padding=2, padding_mode="reflect", bias=False),
    "doubling channels": nn.Conv2d(6, 12, 5, groups=6, bias=False),
    "pooled": nn.Sequential(
        nn.Conv2d(6, 4, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU6(inplace=True), nn.AdaptiveAvgPool2d(1)
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_every_other_layer_is_the_plain_one_up_to_rounding(name):
    x = noise(3, 6, 9, 9)
    assert_equal_to_rounding(fast(LAYERS[name], x), gradients(LAYERS[name], x))


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "mobilenetv3_small_050", "resnet10t", "convnext_atto"])
def test_whole_networks_learn_as_the_plain_ones_do(name):
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=3).double()
    other = copy.deepcopy(network)
    x = noise(4, 3, 64, 64, dtype=torch.float64)
    assert_equal_to_rounding(fast(network, x), gradients(other, x), 1e-8)
    for (key, left), right in zip(network.state_dict().items(), other.state_dict().values()):
        torch.testing.assert_close(left, right, msg=key)


def test_two_runs_agree_to_the_bit():
    network = nn.Sequential(nn.Conv2d(6, 32, 1), depthwise(32, 5, padding=2), nn.BatchNorm2d(32), nn.ReLU6())
    x = noise(5, 6, 9, 9)
    first, second = fast(network, x), fast(network, x)
    assert all(torch.equal(a, b) for a, b in zip(first, second))


def test_maps_run_channels_last_forward_and_backward():
    seen = []
    convolution = nn.Conv2d(6, 8, 1)
    with FastConvolutions():
        out = convolution(noise(3, 6, 9, 9))
        seen.append(out)
        out.register_hook(seen.append)
        F.adaptive_avg_pool2d(F.relu6(out), 1).square().sum().backward()
    assert [tensor.is_contiguous(memory_format=torch.channels_last) for tensor in seen] == [True, True]


def test_nothing_outlasts_the_context():
    convolution = depthwise(6, 5)
    before = {name: tensor.clone() for name, tensor in convolution.state_dict().items()}
    x = noise(1, 6, 9, 9)
    flops, plain = training_flops(convolution, x), convolution(x)
    fast(convolution, x)
    assert convolution.state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in convolution.state_dict().items())
    assert training_flops(convolution, x) == flops
    assert torch.equal(convolution(x), plain)
    assert type(plain.grad_fn).__name__ == "ConvolutionBackward0"


def test_tensors_on_other_devices_are_left_alone():
    convolution = depthwise(6, 5).to("meta")
    with FastConvolutions():
        out = convolution(torch.empty(2, 6, 9, 9, device="meta"))
    assert type(out.grad_fn).__name__ == "ConvolutionBackward0"
    assert out.is_contiguous()


def test_single_images_without_a_batch_are_left_alone():
    convolution, image = depthwise(6, 5), noise(6, 9, 9)
    with FastConvolutions():
        assert torch.equal(convolution(image), F.conv2d(image, convolution.weight, groups=6))
