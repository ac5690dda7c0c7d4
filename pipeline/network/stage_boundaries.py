"""Where a network of any architecture can be cut.

A network is a row of units: each begins with a block, or with a single convolution or product outside of blocks, and
only one tensor passes from one to the next. Units that make maps of one resolution are one stage, as the stages of
most convolutional networks are. Where one resolution holds most of the network, as in transformers, its units are
stages of their own, joined evenly so that there are at most `MOST`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.fx import Graph, Node

from pipeline.network.fx_tracing import IMAGES, layers_of, trace

MOST = 12  # stages
FEWEST = 4  # stages that a network with enough units is cut into
Plan = tuple[Graph, Graph]  # what a stage calls in evaluation and in training


def begins(backbone: nn.Module, size: int) -> list[str]:
    """Return the modules with which the stages after the first begin, of a backbone on the meta device.

    `size` is that of the images the architecture was made for: where maps are so small that they hardly shrink any
    more, resolutions tell nothing. Raise UntraceableError where the calls cannot be recorded.
    """
    row = _Row(backbone, size)
    starts = [0, *row.crossings]
    units = [row.unit(a, b, size) for a, b in zip(starts, [*starts[1:], len(row.nodes)])]
    return [str(row.nodes[group[0].start].target) for group in _grouped(units)[1:]]


def plan(backbone: nn.Module, size: int, names: Sequence[str]) -> list[Plan]:
    """Return the stages of a backbone on the meta device, for images of `size` pixels; `names` are from `begins`.

    Raise UntraceableError where the calls cannot be recorded.
    """
    row = _Row(backbone, size)
    starts = [at for at in row.crossings if row.nodes[at].target in names]
    tensors = [0, *(row.crossings[at] for at in starts), row.given]
    ends = zip([0, *starts], [*starts, len(row.nodes)])
    return [row.stage(a, b, tensors[k], tensors[k + 1]) for k, (a, b) in enumerate(ends)]


class _Row:
    """The calls of a backbone, in order and numbered, and where one can cut between them."""

    def __init__(self, backbone: nn.Module, size: int) -> None:
        self.graphs = trace(backbone, size)
        *self.nodes, output = self.graphs[0].nodes
        self.place = {node: at for at, node in enumerate(self.nodes)}
        self.given = self.place[output.args[0]]  # a network gives one tensor
        self.called = {node: backbone.get_submodule(node.target) for node in self.nodes if node.op == "call_module"}
        self.layers = [layers_of(self.called[node]) if node in self.called else 0 for node in self.nodes]
        self.moving = set[Node]()  # what depends on the images; the rest can be done anywhere, and again
        for node in self.nodes:
            if node.op == "placeholder" or self.moving & set(node.all_input_nodes):
                self.moving.add(node)
        self.crossings = self._crossings()

    def _crossings(self) -> dict[int, int]:
        """Return the places before which one tensor alone, and no weight, is needed on both sides; and the tensor's."""
        tensors = [(at, self._last_use(node)) for node, at in self.place.items() if node in self.moving]
        weights, found = self._weights(), {}
        for at, node in enumerate(self.nodes):
            if node in self.moving and self.layers[at] and any(self.layers[:at]):
                crossing = [first for first, last in tensors if first < at <= last]
                parted = any(first < at <= last for first, last in weights)
                if len(crossing) == 1 and not parted and _is_whole(self.nodes[crossing[0]]):
                    found[at] = crossing[0]
        return found

    def _last_use(self, node: Node) -> int:
        return max((self.place.get(user, len(self.nodes)) for user in node.users), default=-1)

    def _weights(self) -> Iterable[tuple[int, int]]:
        """Return the first and the last place at which a weight is used together with the images, of all weights."""
        used, spans = dict[Node, set[int]](), dict[int, tuple[int, int]]()
        for node, at in self.place.items():
            value = node.meta["value"]
            used[node] = {id(p) for p in self.called[node].parameters()} if node in self.called else set()
            used[node] |= {id(value)} if isinstance(value, nn.Parameter) else set()
            for earlier in set(node.all_input_nodes) - self.moving:  # a table made from weights, for example
                used[node] |= used[earlier]
            if node in self.moving:
                spans |= {weight: (spans.get(weight, (at,))[0], at) for weight in used[node]}
        return spans.values()

    def unit(self, start: int, end: int, size: int) -> "_Unit":
        """Return what is between two places, in a network that takes images of `size` pixels."""
        given = [self.nodes[at].meta["value"] for at in range(start, end) if self.layers[at]]
        sides = [_side(value.shape) for value in given if isinstance(value, Tensor)]
        return _Unit(start, sum(self.layers[start:end]), round(math.log2(size / sides[-1])) if sides else 0)

    def stage(self, start: int, end: int, takes: int, gives: int) -> Plan:
        """Return the calls between two places, with those that depend on no image and that they need."""
        own = {node for node in self.nodes[start:end] if node in self.moving}
        for node in reversed(self.nodes[:end]):
            own |= {each for each in node.all_input_nodes if node in own and each not in self.moving}
        return tuple(_part(list(graph.nodes), [self.place[n] for n in own], takes, gives) for graph in self.graphs)


def _part(nodes: Sequence[Node], own: Sequence[int], takes: int, gives: int) -> Graph:
    part = Graph()
    copies = {nodes[takes]: part.placeholder("x")}
    for at in sorted({*own} - {takes}):
        copies[nodes[at]] = part.node_copy(nodes[at], copies.__getitem__)
        copies[nodes[at]].meta = {}
    part.output(copies[nodes[gives]])
    return part


def _is_whole(node: Node) -> bool:
    """Say whether a result has a row for each image, and no later call writes into it."""
    value = node.meta["value"]
    return isinstance(value, Tensor) and value.shape[:1] == (IMAGES,) and value._version == node.meta["version"]


@dataclass(frozen=True)
class _Unit:
    start: int
    layers: int
    level: int  # how often the resolution was halved


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
