"""The calls a network makes, recorded with torch.fx, and a stage that makes some with the network's own weights.

Every recorded call is also made, on the meta device, where tensors have a shape and no content: so sizes are numbers
while tracing, and code that depends on them can be followed. Blocks are recorded as one call each.
"""

from collections.abc import Callable
from typing import Any

import torch
from timm.layers import get_notrace_functions, get_notrace_modules
from torch import nn
from torch.fx import Graph, Interpreter, Node, Proxy, Tracer

IMAGES = 4999  # in the example batch: a prime, so that sizes that depend on the number of images are known by it
_PLAIN = (int, float, str, torch.dtype, torch.Size)  # what is a number, or the same, for any images of one size


class UntraceableError(Exception):
    """The calls of a network cannot be recorded."""


def trace(backbone: nn.Module, size: int) -> tuple[Graph, Graph]:
    """Return what a backbone on the meta device calls in evaluation and in training, node for node the same calls.

    Images have `size` pixels; the `meta` of a node holds its `value` and that tensor's `version`. A module whose inside
    cannot be followed is one call. Raise UntraceableError, saying why, where that is the whole backbone.
    """
    leaves: set[str] = set()
    while True:
        path = ""
        try:
            graphs = [_Tracer(leaves, size).trace(backbone.train(training)) for training in (False, True)]
            different = [
                a for a, b in zip(*(graph.nodes for graph in graphs)) if (a.name, a.target) != (b.name, b.target)
            ]
            if not different:
                return graphs[0], graphs[1]
            path, why = different[0].meta["inside"], "it does other things in training"
        except _FollowingError as error:
            path, why = error.args
        finally:
            backbone.eval()
        if not path or path in leaves:
            raise UntraceableError(why)
        leaves.add(path)


class _FollowingError(Exception):
    """A module, by its path, whose inside cannot be followed, and why."""


class _Tracer(Tracer):
    """Record the calls of a network, and make them."""

    proxy_buffer_attributes = True

    def __init__(self, leaves: set[str], size: int) -> None:
        super().__init__(autowrap_functions=tuple(f for f in get_notrace_functions() if callable(f)))
        self.leaves, self.unfollowed = leaves, tuple(get_notrace_modules())
        self.example = torch.empty(IMAGES, 3, size, size, device="meta")
        self.evaluating = False

    def trace(self, root: nn.Module, concrete_args: Any = None) -> Graph:
        """Record; raise _FollowingError with the path of the innermost module that was being followed."""
        try:
            with torch.no_grad():
                return super().trace(root)
        except Exception as error:  # whatever code that was not written for it stumbles over
            path = [path for path, _ in self.module_stack.values()][-1:] or [""]
            why = (str(error).strip() or "no reason given").splitlines()[0]
            raise _FollowingError(path[0], f"{type(error).__name__}: {why}") from error

    def create_args_for_root(self, root_fn: Any, is_module: bool, concrete_args: Any = None) -> tuple[Any, list[Any]]:
        """Give a network its images alone; whatever else it could take stays at its default."""
        self.interpreter = _Interpreter(self.root, garbage_collect_values=False, graph=self.graph)
        return root_fn, [self.root, self.create_proxy("placeholder", "x", (), {})]

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Follow only what holds blocks."""
        if module_qualified_name in self.leaves or isinstance(m, self.unfollowed):
            return True
        return type(m) not in (nn.Sequential, nn.ModuleList) and not _holds_blocks(m)

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Record a call, or what happens inside."""
        if self.evaluating or m not in self.submodule_paths:  # a slice of a row of blocks is no module of the network
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Proxy]) -> Any:
        """Record the reading of parameters and buffers, but not by what is only run."""
        return attr_val if self.evaluating else super().getattr(attr, attr_val, parameter_proxy_cache)

    def create_proxy(self, kind: str, target: Any, args: Any, kwargs: Any, *rest: Any, **more: Any) -> Any:
        """Make the call too; where its result is a number or the like, return that and forget the call."""
        proxy = super().create_proxy(kind, target, args, kwargs, *rest, **more)
        node, stack = proxy.node, [path for path, _ in self.module_stack.values()]
        if kind == "get_attr" and target.startswith("_tensor_constant"):
            raise ValueError("it makes tensors of its own")
        self.evaluating = True
        try:
            value = self.example if kind == "placeholder" else self.interpreter.run_node(node)
        finally:
            self.evaluating = False
        self.interpreter.env[node] = value
        node.meta = {"value": value, "version": value._version if isinstance(value, torch.Tensor) else None}
        node.meta["inside"] = ["", *stack][-2 if kind == "call_module" else -1]
        if isinstance(value, _PLAIN) or value is None:
            self.graph.erase_node(node)
            return value
        if isinstance(value, (tuple, list)):
            return type(value)(proxy[i] for i in range(len(value)))
        return proxy

    def proxy(self, node: Node) -> Proxy:
        """Return a proxy that knows what its tensor is like."""
        return _Known(node, self)


class _Known(Proxy):
    """A proxy whose shape and kind can be asked for."""

    def __getattr__(self, name: str) -> Any:
        if name in ("shape", "ndim", "dtype", "is_cuda", "requires_grad"):
            return getattr(self.node.meta["value"], name)
        return super().__getattr__(name)


def layers_of(module: nn.Module) -> int:
    """Return how many weights with two dimensions or more a module has, as convolutions and products have."""
    return sum(p.ndim > 1 for p in module.parameters())


def _holds_blocks(module: nn.Module) -> bool:
    """Say whether a module is a row of blocks, or has one inside."""
    if isinstance(module, (nn.Sequential, nn.ModuleList, nn.ModuleDict)):
        return sum(layers_of(child) > 1 for child in module.children()) > 1
    return any(_holds_blocks(child) for child in module.children())


class Segment(nn.Module):
    """One stage of a backbone, which shares the backbone's modules and parameters."""

    def __init__(self, backbone: nn.Module, graphs: tuple[Graph, Graph]) -> None:
        """Take what the stage calls in evaluation and in training, as `trace` records it."""
        super().__init__()
        self.graphs, self.whole = graphs, [backbone]  # in a list, so that its modules are not modules of this one
        self.owners: list[tuple[nn.Module, str, str]] = []
        for node in graphs[0].nodes:
            name = str(node.target).replace(".", "/")
            if node.op == "call_module":
                self.add_module(name, backbone.get_submodule(node.target))
            elif node.op == "get_attr":
                path, _, own = node.target.rpartition(".")
                owner = backbone.get_submodule(path)
                if isinstance(tensor := getattr(owner, own), nn.Parameter):
                    self.register_parameter(name, tensor)
                else:
                    self.register_buffer(name, tensor, persistent=False)
                    self.owners.append((owner, own, name))

    def _apply(self, *args: Any, **kwargs: Any) -> Any:
        """Move to another device; buffers are replaced there, so the backbone is given the new ones too."""
        super()._apply(*args, **kwargs)
        for owner, own, name in self.owners:
            setattr(owner, own, getattr(self, name))
        return self

    def extra_repr(self) -> str:
        """Show the calls, so that other ways through the same modules differ in their text too."""
        return "\n".join(map(str, self.graphs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the next stage takes."""
        return _Interpreter(self.whole[0], graph=self.graphs[self.training]).run(x)


class _Interpreter(Interpreter):
    """Make recorded calls with any number of images."""

    images = IMAGES

    def run(self, x: torch.Tensor) -> Any:  # type: ignore[override]
        """Return what a graph gives for x (N, ...)."""
        self.images = len(x)
        return super().run(x)

    def map_nodes_to_values(self, args: Any, n: Node) -> Any:
        """Look values up and put in the number of images; lists are plain ones, as some modules write into them."""
        if isinstance(args, Node):
            return self.env[args]
        if isinstance(args, dict):
            return {key: self.map_nodes_to_values(value, n) for key, value in args.items()}
        if isinstance(args, (list, tuple)):
            return (list if isinstance(args, list) else tuple)(self.map_nodes_to_values(each, n) for each in args)
        if isinstance(args, slice):
            return slice(*(self.map_nodes_to_values(each, n) for each in (args.start, args.stop, args.step)))
        counts = type(args) is int and args and args % IMAGES == 0
        return args // IMAGES * self.images if counts else args
