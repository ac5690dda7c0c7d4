import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pipeline.network.flops import count_parameters, forward_flops, training_flops


@given(st.integers(1, 20), st.integers(1, 20))
def test_a_linear_layer_costs_a_multiplication_and_an_addition_a_weight(a, b):
    layer, example = nn.Linear(a, b), torch.rand(1, a)
    assert forward_flops(layer, example) == 2 * a * b
    assert training_flops(layer, example) == 2 * forward_flops(layer, example)  # forward, and the weights' gradient
    assert count_parameters(layer) == a * b + b


def test_a_convolution_costs_a_linear_layer_at_each_of_its_positions():
    layer = nn.Conv2d(2, 4, kernel_size=3, padding=1, bias=False)
    assert forward_flops(layer, torch.rand(1, 2, 8, 8)) == 2 * (2 * 3 * 3) * 4 * (8 * 8)
    assert count_parameters(layer) == 2 * 3 * 3 * 4


def test_training_pays_for_gradients_of_all_weights_and_of_all_inputs_but_the_first():
    body = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    forward, weights, inputs = 2 * 15 + 2 * 10, 2 * 15 + 2 * 10, 2 * 10
    assert training_flops(body, torch.rand(1, 3)) == forward + weights + inputs


def test_what_learns_nothing_costs_nothing_to_train():
    assert training_flops(nn.Linear(3, 5).requires_grad_(False), torch.rand(1, 3)) == 0
    assert training_flops(nn.Flatten(), torch.rand(1, 3)) == 0
    assert count_parameters(nn.Flatten()) == 0


@pytest.mark.parametrize("count", [forward_flops, training_flops])
def test_counting_leaves_modes_statistics_and_gradients_as_they_were(count):
    body = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4).eval(), nn.Dropout(), nn.BatchNorm1d(4), nn.Linear(4, 2))
    body[4].eval()
    modes = [module.training for module in body.modules()]
    before = {name: tensor.clone() for name, tensor in body.state_dict().items()}
    count(body, torch.rand(1, 3))  # type: ignore[operator]
    assert [module.training for module in body.modules()] == modes
    assert all(torch.equal(tensor, before[name]) for name, tensor in body.state_dict().items())
    assert all(parameter.grad is None for parameter in body.parameters())


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_a_grouped_convolution_is_not_charged_as_a_dense_one(groups):
    convolution = nn.Conv2d(8, 8, 3, padding=1, groups=groups, bias=False)
    forward = 2 * 8 * (8 // groups) * 9 * 5 * 5
    assert forward_flops(convolution, torch.zeros(1, 8, 5, 5)) == forward
    assert training_flops(convolution, torch.zeros(1, 8, 5, 5)) == 2 * forward  # the input needs no gradient
