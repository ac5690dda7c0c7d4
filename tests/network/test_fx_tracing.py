import pytest
import torch
from torch import nn
from torch.fx import Node
from torch.nn import functional as F

from pipeline.network.fx_tracing import IMAGES, UntraceableError, trace


class Block(nn.Module):
    """Two layers, and what no tracer follows."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)

    def forward(self, x):
        if self.training and float(torch.rand(())) > 2:
            raise AssertionError
        return self.second(self.first(x))


class Root(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.entry, self.blocks = nn.Conv2d(3, 4, 2, 2), nn.Sequential(Block(), Block())

    def forward(self, x):
        x = self.blocks(self.entry(x))
        images, channels, height, width = x.shape
        if height > 1:  # a number, though it came of a tensor
            x = x.reshape(images, channels, height * width)
        return F.dropout(x, 0.5, training=self.training).mean(-1)


def traced(root: nn.Module) -> list[Node]:
    return list(trace(root.to("meta"), 8)[0].nodes)


def modules(nodes: list[Node]) -> list[str]:
    return [node.target for node in nodes if node.op == "call_module"]


def test_blocks_are_one_call_each_and_what_is_around_them_is_followed():
    assert modules(traced(Root())) == ["entry", "blocks.0", "blocks.1"]


def test_sizes_are_numbers_and_need_no_call():
    nodes = {node.name: node for node in traced(Root())}
    assert nodes["reshape"].args == (nodes["blocks_1"], IMAGES, 4, 16)
    assert nodes["reshape"].meta["value"].shape == (IMAGES, 4, 16)
    assert list(nodes) == ["x", "entry", "blocks_0", "blocks_1", "reshape", "dropout", "mean", "output"]


def test_what_the_mode_decides_is_recorded_of_both():
    graphs = trace(Root().to("meta"), 8)
    found = [node.kwargs["training"] for graph in graphs for node in graph.nodes if node.name == "dropout"]
    assert found == [False, True]


class Divided(nn.Module):
    """A row of blocks that asks a tensor for its content."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(Block(), Block())

    def forward(self, x):
        return self.blocks(x) if x.sum() > 0 else x


def test_a_part_that_cannot_be_followed_is_one_call():
    root = Root()
    root.blocks = nn.Sequential(nn.Sequential(Block(), Block()), Moody())
    assert modules(traced(root)) == ["entry", "blocks.0.0", "blocks.0.1", "blocks.1"]


class Moody(nn.Module):
    """A row of blocks that leaves one out in training."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(), Block()])

    def forward(self, x):
        for block in self.blocks[: 1 if self.training else 2]:
            x = block(x)
        return x


@pytest.mark.parametrize("root", [Divided(), Moody()])
def test_a_network_that_cannot_be_followed_is_said_to_be(root):
    entry = nn.Conv2d(3, 4, 1)
    with pytest.raises(UntraceableError):
        traced(_Whole(entry, root))


class _Whole(nn.Module):
    def __init__(self, entry: nn.Module, rest: nn.Module) -> None:
        super().__init__()
        self.entry, self.blocks, self.rest = entry, rest.blocks, type(rest).forward

    def forward(self, x):
        return self.rest(self, self.entry(x))


def test_tracing_leaves_the_network_in_eval_mode_and_its_mode_unseen():
    root = Root().to("meta").train()
    trace(root, 8)
    assert not root.training
