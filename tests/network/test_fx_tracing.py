import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.network.fx_steps import IMAGES, Images, Modal, Ref, Step, mapped
from pipeline.network.fx_tracing import UntraceableError, trace


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


def traced(root: nn.Module) -> list[Step]:
    return trace(root.to("meta"), 8)


def named(steps: list[Step]) -> dict[str, Step]:
    return {step.name: step for step in steps}


def test_blocks_are_one_step_each_and_what_is_around_them_is_followed():
    assert [step.target for step in traced(Root()) if step.op == "call_module"] == ["entry", "blocks.0", "blocks.1"]


def test_sizes_are_numbers_but_for_the_number_of_images():
    step = named(traced(Root()))["reshape"]
    assert step.args == (Ref("blocks_1"), Images(), 4, 16)
    assert step.shape == (IMAGES, 4, 16)


def test_what_the_mode_decides_stays_open():
    assert named(traced(Root()))["dropout"].kwargs["training"] == Modal(training=True, evaluation=False)


def test_layers_are_counted():
    steps = named(traced(Root()))
    assert [steps[name].layers for name in ("entry", "blocks_0", "dropout")] == [1, 2, 0]


def test_what_is_written_into_later_is_not_whole():
    steps = named(traced(nn.Sequential(Root(), nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Linear(4, 4))))
    linear, relu = (next(s for s in steps.values() if s.target == path) for path in ("1", "2"))
    assert (linear.whole, relu.whole) == (False, True)


class Divided(nn.Module):
    """A row of blocks that asks a tensor for its content."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(Block(), Block())

    def forward(self, x):
        return self.blocks(x) if x.sum() > 0 else x


def test_a_part_that_cannot_be_followed_is_one_step():
    root = Root()
    root.blocks = nn.Sequential(nn.Sequential(Block(), Block()), Moody())
    assert [s.target for s in traced(root) if s.op == "call_module"] == [
        "entry",
        "blocks.0.0",
        "blocks.0.1",
        "blocks.1",
    ]


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


def test_arguments_are_changed_wherever_they_stand():
    held = {"a": [Ref("x"), (Ref("x"), 2)], "b": slice(None, Ref("x"))}
    changed = mapped(held, lambda a: 7 if isinstance(a, Ref) else a)
    assert changed == {"a": [7, (7, 2)], "b": slice(None, 7)}
