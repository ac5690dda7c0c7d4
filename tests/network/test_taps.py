import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pipeline.config.recipe import Recipe
from pipeline.inference.network import Tap, pooled
from pipeline.network.build import build
from pipeline.network.cut import split, stages
from pipeline.network.taps import Carry, _packed, _unpacked, carrying, find_taps

NETWORKS = {
    "compact": (32, ["layer1", "layer2", "layer3"], 1),
    "efficientnet_lite0": (32, [f"blocks.{n}" for n in range(6)], 1),
    "timm/test_vit": (32, [f"blocks.{n}" for n in range(5)], -1),  # tokens
    "torchvision/squeezenet1_1": (32, ["features.2", "features.5", "features.8"], 1),  # traced
}


def tapped(name, images, **wanted):
    size = NETWORKS[name][0]
    recipe = Recipe(backbone=name, weights="random", cut="input", epochs=1, learning_rate=0.1, image_size=size,
                    features="stages", **wanted)  # fmt: skip
    return build(recipe, images, 1).eval()


@pytest.fixture(scope="module", params=NETWORKS)
def network(request, image_set):
    return request.param, tapped(request.param, image_set)


@pytest.fixture(scope="module")
def batch(image_set):
    return torch.from_numpy(image_set.images[:3]).permute(0, 3, 1, 2)


def test_every_stage_before_the_last_is_tapped(network):
    name, net = network
    _, modules, axis = NETWORKS[name]
    assert [tap.module for tap in net.taps] == modules
    assert {tap.axis for tap in net.taps} == {axis}
    assert len(stages(net)) == len(net.taps) + 2


def test_a_tapped_network_cut_anywhere_is_the_network_that_is_served(network, batch):
    _, net = network
    with torch.no_grad():
        whole = net(batch)
        for cut in range(len(stages(net))):
            stem, body = split(net, cut)
            torch.testing.assert_close(body(stem(batch)), whole)


def test_features_are_the_pooled_outputs_of_the_stages_in_order_and_the_last_stage_s(network, batch):
    _, net = network
    seen = {}
    modules = dict(net.backbone.named_modules())
    hooks = [modules[tap.module].register_forward_hook(lambda m, _, out: seen.__setitem__(m, out)) for tap in net.taps]
    with torch.no_grad():
        last = net.backbone(net.preprocess(batch))
        features = split(net, "head")[0](batch)
    for hook in hooks:
        hook.remove()
    expected = [pooled(seen[modules[tap.module]], tap.axis) for tap in net.taps]
    torch.testing.assert_close(features, torch.cat([*expected, last], 1))
    assert features.shape[1] == net.features == sum(net.groups)


def test_the_spec_is_plain_json_and_names_taps_only_where_they_are_wanted(network, image_set):
    name, net = network
    assert json.loads(json.dumps(net.spec))["taps"]
    size = NETWORKS[name][0]
    plain = Recipe(backbone=name, weights="random", cut="input", epochs=1, learning_rate=0.1, image_size=size)
    assert "taps" not in build(plain, image_set, 1).spec


def test_threads_that_predict_at_once_do_not_mix_their_features(image_set, batch):
    from concurrent.futures import ThreadPoolExecutor

    net = tapped("compact", image_set)
    with torch.no_grad():
        expected = [net(batch[[i]]) for i in range(3)]

    def predict(i):
        with torch.no_grad():
            return net(batch[[i]])

    with ThreadPoolExecutor(3) as pool:
        for _ in range(20):
            for found, wanted in zip(pool.map(predict, range(3)), expected, strict=True):
                torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize(
    ("shape", "axis", "positions"), [((2, 3, 4, 4), 1, (2, 3)), ((2, 4, 4, 3), -1, (1, 2)), ((2, 5, 3), -1, 1)]
)
def test_maps_and_tokens_are_pooled_by_mean_and_by_maximum_over_their_positions(shape, axis, positions):
    x = torch.randn(shape)
    assert torch.equal(pooled(x, axis)[:, 3:], x.amax(positions))
    torch.testing.assert_close(pooled(x, axis)[:, :3], x.mean(positions))


@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 5), st.sampled_from([1, -1, "tokens"]))
def test_what_is_packed_comes_out_as_it_was(width, channels, side, kind):
    shape = {1: (channels, side, side), -1: (side, side, channels), "tokens": (side, channels)}[kind]
    axis = 1 if kind == 1 else -1
    x, carried = torch.randn(2, *shape), torch.randn(2, width)
    own, back = _unpacked(_packed(x, carried, axis), width, axis)
    assert torch.equal(own, x)
    assert torch.equal(back, carried)


class Twice(nn.Module):
    """A backbone whose activation runs after both of its convolutions."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.act = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3), nn.ReLU()

    def forward(self, x):
        return self.act(self.two(self.act(self.one(x)))).mean((2, 3))


def test_a_module_that_runs_twice_is_no_tap():
    with torch.device("meta"):
        net = Twice()
        first = nn.Sequential(net.one, net.act)
        assert find_taps(net, [first, nn.Sequential(net.two, net.act)], 8) == []
        assert find_taps(net, [net.one, nn.Sequential(net.act, net.two, net.act)], 8) == [Tap("one", 4, 1)]


def test_stages_that_carry_show_what_they_carry():
    first, last = carrying([nn.Identity(), nn.Flatten()], [Tap("a", 2, 1)])
    assert isinstance(first, Carry)
    assert "Tap" in repr(first)
    assert (first.width, last.width) == (0, 4)
