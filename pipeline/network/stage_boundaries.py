"""Where a network of any architecture can be cut, and its stages as modules that share its weights.

A network is a row of units: each begins with a block, or with a single convolution or product outside of blocks, and
only one tensor passes from one to the next. Units that make maps of one resolution are one stage, as the stages of
most convolutional networks are. Where one resolution holds most of the network, as in transformers, its units are
stages of their own, joined evenly so that there are at most `MOST`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from pipeline.network.fx_steps import IMAGES, Ref, Stage, Step
from pipeline.network.fx_tracing import trace

MOST = 12  # stages
FEWEST = 4  # stages that a network with enough units is cut into


def begins(backbone: nn.Module, size: int) -> list[str]:
    """Return the steps with which the stages after the first begin, of a backbone on the meta device.

    `size` is that of the images the architecture was made for: where maps are so small that they hardly shrink any
    more, resolutions tell nothing. Raise UntraceableError where the steps cannot be told.
    """
    row = _Row(backbone, size)
    starts = [0, *sorted(row.crossings)]
    units = [_unit(row.steps[a:b], a, size) for a, b in zip(starts, [*starts[1:], len(row.steps)])]
    return [row.steps[group[0].start].name for group in _grouped(units)[1:]]


def plan(backbone: nn.Module, size: int, names: Sequence[str]) -> list[Stage]:
    """Return the stages of a backbone on the meta device, for images of `size` pixels; `names` are from `begins`.

    Raise UntraceableError where the steps cannot be told.
    """
    row = _Row(backbone, size)
    starts = [at for at in sorted(row.crossings) if row.steps[at].name in names]
    tensors = [row.steps[0].name, *(row.crossings[at] for at in starts), row.given]
    ends = zip([0, *starts], [*starts, len(row.steps)])
    return [Stage(tensors[k], row.part(a, b, tensors[k]), tensors[k + 1]) for k, (a, b) in enumerate(ends)]


class _Row:
    """The steps of a backbone, and where one can cut between them."""

    def __init__(self, backbone: nn.Module, size: int) -> None:
        steps = trace(backbone, size)
        given = steps[-1].args[0]
        assert isinstance(given, Ref), "a network gives one tensor"
        self.given, self.steps = given.name, _needed(steps[:-1])
        self.moving = _moving(self.steps)
        self.crossings = _crossings(backbone, self.steps, self.moving)

    def part(self, start: int, end: int, takes: str) -> tuple[Step, ...]:
        """Return the steps of a stage, with those that depend on no image and that it needs."""
        own = {step.name for step in self.steps[start:end] if step.name in self.moving} - {takes}
        for step in reversed(self.steps[:end]):
            if step.name in own:
                own |= step.needs() - self.moving
        return tuple(step for step in self.steps if step.name in own)


def _needed(steps: Sequence[Step]) -> list[Step]:
    """Leave out sizes that nobody uses: what they were used for is a number by now."""
    used: set[str] = set()
    kept = []
    for step in reversed(steps):
        if step.name in used or step.shape is not None or step.op == "placeholder":
            kept.append(step)
            used |= step.needs()
    return kept[::-1]


def _moving(steps: Sequence[Step]) -> set[str]:
    """Return the names of the steps that depend on the images; the others can be done anywhere, and again."""
    moving: set[str] = set()
    for step in steps:
        if step.op == "placeholder" or step.needs() & moving:
            moving.add(step.name)
    return moving


def _crossings(backbone: nn.Module, steps: Sequence[Step], moving: set[str]) -> dict[int, str]:
    """Return the positions before which one tensor alone, and no weight, is needed on both sides; and its name."""
    weights = _weights(backbone, steps, moving)
    last = {name: at for at, step in enumerate(steps) for name in step.needs()}
    found, live = {}, set[str]()
    shapes = {step.name: step.shape for step in steps if step.whole}
    for at, step in enumerate(steps):
        live = {name for name in live if last.get(name, len(steps)) >= at}
        if at and step.layers and step.name in moving and len(live) == 1:
            (name,) = live
            before, after = (set().union(*part) for part in (weights[:at], weights[at:]))
            begun = any(earlier.layers for earlier in steps[:at])
            if begun and (shapes.get(name) or (0,))[0] == IMAGES and not before & after:
                found[at] = name
        if step.name in moving:
            live.add(step.name)
    return found


def _weights(backbone: nn.Module, steps: Sequence[Step], moving: set[str]) -> list[set[int]]:
    """Return which parameters each step that depends on the images uses, itself or through others."""
    named, by_step, found = dict(backbone.named_parameters(remove_duplicate=False)), dict[str, set[int]](), []
    for step in steps:
        own: set[int] = set()
        if step.op == "call_module":
            own = {id(p) for p in backbone.get_submodule(step.target).parameters()}
        elif step.op == "get_attr" and step.target in named:
            own = {id(named[step.target])}
        for name in step.needs() - moving:
            own |= by_step[name]
        by_step[step.name] = own
        found.append(own if step.name in moving else set[int]())
    return found


@dataclass(frozen=True)
class _Unit:
    start: int
    layers: int
    level: int  # how often the resolution was halved


def _unit(steps: Sequence[Step], start: int, size: int) -> _Unit:
    weighty = [step for step in steps if step.layers and step.shape]
    side = _side(weighty[-1].shape or ()) if weighty else size
    return _Unit(start, sum(step.layers for step in steps), round(math.log2(size / side)))


def _side(shape: tuple[int, ...]) -> float:
    """Return the side of maps (N, C, H, W) or (N, H, W, C), of tokens (N, T, C), or 1 for features."""
    if len(shape) == 4:
        height, width = shape[1:3] if shape[1] == shape[2] != shape[3] else shape[2:4]
        return math.sqrt(height * width)
    return math.isqrt(shape[1]) if len(shape) == 3 else 1.0  # a class token or two beside the map's


def _grouped(units: Sequence[_Unit]) -> list[list[_Unit]]:
    groups: list[list[_Unit]] = []
    for unit in units:
        if groups and groups[-1][0].level == unit.level:
            groups[-1].append(unit)
        else:
            groups.append([unit])
    largest = max(range(len(groups)), key=lambda k: _layers(groups[k]))
    if len(groups) < FEWEST or 2 * _layers(groups[largest]) > _layers(units):
        room = max(MOST - len(groups) + 1, 1)
        groups[largest : largest + 1] = _evenly(groups[largest], room)
    while len(groups) > FEWEST and _layers(groups[0]) <= 1:
        groups[:2] = [groups[0] + groups[1]]
    while len(groups) > FEWEST and _layers(groups[-1]) <= 1:
        groups[-2:] = [groups[-2] + groups[-1]]
    return groups if len(groups) <= MOST else _evenly(units, MOST)


def _layers(units: Sequence[_Unit]) -> int:
    return sum(unit.layers for unit in units)


def _evenly(units: Sequence[_Unit], most: int) -> list[list[_Unit]]:
    """Join neighbours so that at most `most` groups with about as many layers are left."""
    parts, total, before = dict[int, list[_Unit]](), max(_layers(units), 1), 0
    for unit in units:
        at = min(most, len(units)) * (2 * before + unit.layers) // (2 * total)
        parts.setdefault(at, []).append(unit)
        before += unit.layers
    return list(parts.values())
