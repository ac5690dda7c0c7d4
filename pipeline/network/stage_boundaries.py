"""Where a network of any architecture can be cut into stages.

A network is a sequence of segments. Each begins with a block, or with a single convolution or linear layer outside of
blocks, and only one tensor passes from one segment to the next. Segments with one resolution form a stage, as in most
convolutional networks. Where one resolution holds most of the network, as in transformers, its segments are stages of
their own, merged evenly so that there are at most `MOST`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.fx import Graph, Node

from pipeline.network.fx_tracing import IMAGES, layers_of, trace

MOST = 12  # stages
FEWEST = 4  # stages of a network that has enough segments
Plan = tuple[Graph, Graph]  # a stage in evaluation and in training


def begins(backbone: nn.Module, size: int) -> list[str]:
    """Return the modules that begin the stages after the first, of a backbone on the meta device.

    `size` is the image size that the architecture was designed for: maps of small images hardly shrink any more, and
    their resolutions say nothing. Raise UntraceableError where the backbone cannot be traced.
    """
    found = _Trace(backbone, size)
    starts = [0, *found.crossings]
    segments = [found.segment(a, b, size) for a, b in zip(starts, [*starts[1:], len(found.nodes)])]
    return [str(found.nodes[group[0].start].target) for group in _grouped(segments)[1:]]


def plan(backbone: nn.Module, size: int, names: Sequence[str]) -> list[Plan]:
    """Return the stages of a backbone on the meta device for images of `size` pixels; `names` are from `begins`.

    Raise UntraceableError where the backbone cannot be traced.
    """
    found = _Trace(backbone, size)
    starts = [at for at in found.crossings if found.nodes[at].target in names]
    tensors = [0, *(found.crossings[at] for at in starts), found.given]
    ends = zip([0, *starts], [*starts, len(found.nodes)])
    return [found.stage(a, b, tensors[k], tensors[k + 1]) for k, (a, b) in enumerate(ends)]


class _Trace:
    """The nodes of a backbone's graph in order, and the places between them where it can be cut."""

    def __init__(self, backbone: nn.Module, size: int) -> None:
        self.graphs = trace(backbone, size)
        *self.nodes, output = self.graphs[0].nodes
        self.place = {node: at for at, node in enumerate(self.nodes)}
        self.given = self.place[output.args[0]]  # a network returns one tensor
        self.called = {node: backbone.get_submodule(node.target) for node in self.nodes if node.op == "call_module"}
        self.layers = [layers_of(self.called[node]) if node in self.called else 0 for node in self.nodes]
        self.moving = set[Node]()  # depend on the images; the others can be computed anywhere, and repeatedly
        for node in self.nodes:
            if node.op == "placeholder" or self.moving & set(node.all_input_nodes):
                self.moving.add(node)
        self.crossings = self._crossings()

    def _crossings(self) -> dict[int, int]:
        """Return the places that one tensor alone crosses and no weight, each with the place of that tensor."""
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
        """Return the first and the last place where each weight meets the images."""
        used, spans = dict[Node, set[int]](), dict[int, tuple[int, int]]()
        for node, at in self.place.items():
            value = node.meta["value"]
            used[node] = {id(p) for p in self.called[node].parameters()} if node in self.called else set()
            used[node] |= {id(value)} if isinstance(value, nn.Parameter) else set()
            for earlier in set(node.all_input_nodes) - self.moving:  # such as a table computed from weights
                used[node] |= used[earlier]
            if node in self.moving:
                spans |= {weight: (spans.get(weight, (at,))[0], at) for weight in used[node]}
        return spans.values()

    def segment(self, start: int, end: int, size: int) -> "_Segment":
        """Describe the nodes between two places, in a network for images of `size` pixels."""
        given = [self.nodes[at].meta["value"] for at in range(start, end) if self.layers[at]]
        sides = [_side(value.shape) for value in given if isinstance(value, Tensor)]
        return _Segment(start, sum(self.layers[start:end]), round(math.log2(size / sides[-1])) if sides else 0)

    def stage(self, start: int, end: int, takes: int, gives: int) -> Plan:
        """Return the nodes between two places, with those they need that do not depend on the images."""
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
    """Say whether a value has a row for each image, and is not modified in place later."""
    value = node.meta["value"]
    return isinstance(value, Tensor) and value.shape[:1] == (IMAGES,) and value._version == node.meta["version"]


@dataclass(frozen=True)
class _Segment:
    start: int
    layers: int
    level: int  # how often the resolution has been halved


def _side(shape: tuple[int, ...]) -> float:
    """Return the side of maps (N, C, H, W) or (N, H, W, C) or of tokens (N, T, C); 1 for features."""
    if len(shape) == 4:
        height, width = shape[1:3] if shape[1] == shape[2] != shape[3] else shape[2:4]
        return math.sqrt(height * width)
    return math.isqrt(shape[1]) if len(shape) == 3 else 1.0  # which may include a class token or two


def _grouped(segments: Sequence[_Segment]) -> list[list[_Segment]]:
    groups: list[list[_Segment]] = []
    for segment in segments:
        if groups and groups[-1][0].level == segment.level:
            groups[-1].append(segment)
        else:
            groups.append([segment])
    largest = max(range(len(groups)), key=lambda k: _layers(groups[k]))
    if len(groups) < FEWEST or 2 * _layers(groups[largest]) > _layers(segments):
        room = max(MOST - len(groups) + 1, 1)
        groups[largest : largest + 1] = _evenly(groups[largest], room)
    while len(groups) > FEWEST and _layers(groups[0]) <= 1:
        groups[:2] = [groups[0] + groups[1]]
    while len(groups) > FEWEST and _layers(groups[-1]) <= 1:
        groups[-2:] = [groups[-2] + groups[-1]]
    return groups if len(groups) <= MOST else _evenly(segments, MOST)


def _layers(segments: Sequence[_Segment]) -> int:
    return sum(segment.layers for segment in segments)


def _evenly(segments: Sequence[_Segment], most: int) -> list[list[_Segment]]:
    """Merge neighbours into at most `most` groups with about equally many layers."""
    parts, total, before = dict[int, list[_Segment]](), max(_layers(segments), 1), 0
    for segment in segments:
        at = min(most, len(segments)) * (2 * before + segment.layers) // (2 * total)
        parts.setdefault(at, []).append(segment)
        before += segment.layers
    return list(parts.values())
