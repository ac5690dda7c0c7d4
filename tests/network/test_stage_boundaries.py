from collections.abc import Sequence

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.network.fx_tracing import Stage, layers_of
from pipeline.network.stage_boundaries import MOST, begins, plan


def convolution(into: int, out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(into, out, 3, stride, 1), nn.BatchNorm2d(out), nn.ReLU(inplace=True))


class Block(nn.Module):
    def __init__(self, into: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.first, self.second = convolution(into, out, stride), convolution(out, out)

    def forward(self, x):
        return self.second(self.first(x))


class Row(nn.Module):
    """Layers, then a mean over places."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x).mean((2, 3))


def blocks(count: int, width: int = 4) -> list[nn.Module]:
    return [Block(width, width) for _ in range(count)]


def segments(backbone: nn.Module, size: int = 32, names: Sequence[str] | None = None) -> list[Stage]:
    """Return the stages of a network with weights, planned on a copy without."""
    values = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    blank = backbone.to("meta").eval()
    planned = plan(blank, size, begins(blank, size) if names is None else names)
    backbone.to_empty(device="cpu").load_state_dict(values)
    return [Stage(backbone, stage) for stage in planned]


def check(backbone: nn.Module, found: Sequence[nn.Module], size: int = 32) -> None:
    whole = nn.Sequential(*found)
    for training in (False, True):
        x = torch.rand(3, 3, size, size)
        outputs = []
        for module in (backbone, whole):
            torch.manual_seed(0)
            outputs.append(module.train(training)(x.clone()))
        assert torch.equal(*outputs)


def depths(found: Sequence[nn.Module]) -> list[int]:
    return [layers_of(part) for part in found]


def test_maps_of_one_resolution_are_one_stage():
    backbone = Row(
        Block(3, 4, 2),
        Block(4, 4),
        Block(4, 8, 2),
        Block(8, 8),
        Block(8, 8, 2),
        Block(8, 8),
        Block(8, 8, 2),
        Block(8, 8),
    )
    found = segments(backbone)
    assert depths(found) == [4, 4, 4, 4]
    check(backbone, found)


def test_pooling_ends_a_stage():
    layers = [nn.Sequential(Block(4, 4), Block(4, 4), nn.MaxPool2d(2)) for _ in range(3)]
    backbone = Row(Block(3, 4), *layers, Block(4, 4))
    assert depths(segments(backbone)) == [6, 4, 4, 2]
    check(backbone, segments(backbone))


@pytest.mark.parametrize(("count", "stages"), [(5, 5), (12, 12), (24, 12), (30, 12)])
def test_where_one_resolution_is_most_its_blocks_are_stages_joined_evenly(count, stages):
    backbone = Row(nn.Conv2d(3, 4, 4, 4), *blocks(count))
    found = depths(segments(backbone))
    assert len(found) == stages <= MOST
    assert max(found) - min(found) <= 2 + 1
    assert sum(found) == 2 * count + 1


class Twice(Row):
    """The first block's weights are used at the end as well."""

    def forward(self, x):
        return self.layers[1](self.layers(x)).mean((2, 3))


class Bridged(Row):
    """What the first block makes is added at the end."""

    def forward(self, x):
        first = self.layers[1](self.layers[0](x))
        return (self.layers[2:](first) + first).mean((2, 3))


@pytest.mark.parametrize("kind", [Twice, Bridged])
def test_no_cut_parts_a_weight_from_itself_or_lets_two_tensors_cross(kind):
    backbone = kind(nn.Conv2d(3, 4, 4, 4), *blocks(6))
    found = segments(backbone)
    assert len(found) <= 2
    check(backbone, found)


def test_no_cut_comes_before_what_writes_into_its_input():
    class InPlace(Block):
        def forward(self, x):
            return super().forward(F.relu_(x))

    plain, written = (Row(nn.Conv2d(3, 4, 4, 4), kind(4, 4), *blocks(5)) for kind in (Block, InPlace))
    assert len(segments(written)) == len(segments(plain)) == 6
    assert all("layers/0" not in part._modules for part in segments(written)[1:])
    wide = Row(*(InPlace(4 if k else 3, 4) for k in range(6)))
    assert len(segments(wide)) == 1
    check(wide, segments(wide))


class Tokens(nn.Module):
    """Tokens with a class token, places and a table: a transformer's frame."""

    def __init__(self, drop: float = 0.5) -> None:
        super().__init__()
        self.patches, self.drop = nn.Conv2d(3, 8, 8, 8), drop
        self.token, self.places = nn.Parameter(torch.rand(1, 1, 8)), nn.Parameter(torch.rand(1, 17, 8))
        self.register_buffer("table", torch.rand(17, 1), persistent=False)
        self.blocks = nn.ModuleList([Mixed() for _ in range(4)])

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        scaled = self.table * 2
        for block in self.blocks:
            x = block(x, scaled)
        return F.dropout(x, self.drop, training=self.training)[:, 0].reshape(x.shape[0], 8)


class Mixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x, scale):
        return x + scale * self.second(self.first(x).relu())


def test_tokens_tables_and_the_number_of_images_cross_no_cut():
    torch.manual_seed(3)
    backbone = Tokens()
    backbone.register_buffer("table", torch.rand(17, 1))
    found = segments(backbone)
    assert len(found) == 4
    check(backbone, found)
    assert [name for name, _ in found[0].named_parameters() if "." not in name] == ["token", "places"]
    assert sum(len(list(part.parameters())) for part in found) == len(list(backbone.parameters()))


def test_a_table_goes_to_another_device_with_its_stage_and_the_backbone_sees_it():
    backbone = Tokens()
    backbone.register_buffer("table", torch.rand(17, 1))
    found = segments(backbone)
    found[1].to(torch.float64)  # replaces buffers, as another device does
    assert backbone.table.dtype == torch.float64


def test_stages_of_other_steps_through_the_same_modules_look_different():
    calm, wild = (repr(segments(Tokens(drop))[-1]) for drop in (0.1, 0.9))
    assert calm == repr(segments(Tokens(0.1))[-1]) != wild
    assert " at 0x" not in calm


def test_gradients_reach_every_parameter_through_the_stages():
    backbone = Tokens()
    backbone.register_buffer("table", torch.rand(17, 1))
    nn.Sequential(*segments(backbone))(torch.rand(2, 3, 32, 32)).sum().backward()
    assert all(p.grad is not None for p in backbone.parameters())


class Listed(Block):
    """Takes a list of maps and writes into it, as the modules of HRNet do; the second result is of no use."""

    def __init__(self) -> None:
        super().__init__(4, 4)

    def forward(self, maps):
        maps[0] = super().forward(maps[0])
        return maps[0], maps[0].shape


def test_a_block_may_write_into_a_list_and_return_what_nobody_uses():
    class Lists(Row):
        def forward(self, x):
            entry, *others = self.layers
            x = entry(x)
            for block in others:
                x, _ = block([x])
            return x.mean((2, 3))

    backbone = Lists(nn.Conv2d(3, 4, 4, 4), *(Listed() for _ in range(5)))
    found = segments(backbone)
    assert len(found) == 5
    check(backbone, found)
