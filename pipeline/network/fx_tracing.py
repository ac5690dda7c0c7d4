"""Trace a network with torch.fx, and run a part of the traced graph with the network's own weights.

While it is traced, every call is also executed on the meta device, where tensors have a shape but no content. So sizes
are plain numbers, and code that branches on them can be traced. A block is one node.
"""

from collections.abc import Callable
from typing import Any

import torch
from timm.layers import get_notrace_functions, get_notrace_modules
from torch import nn
from torch.fx import Graph, Interpreter, Node, Proxy, Tracer

IMAGES = 4999  # in the example batch; a prime, by whose multiples sizes that depend on the batch are recognised
_PLAIN = (int, float, str, torch.dtype, torch.Size)  # values that are the same for all images of one size


class UntraceableError(Exception):
    """A network cannot be traced."""


def trace(backbone: nn.Module, size: int) -> tuple[Graph, Graph]:
    """Trace a backbone on the meta device in evaluation and in training: two graphs with the same nodes.

    Images have `size` pixels. The `meta` of a node holds its `value`, and the `version` of that tensor. A module that
    cannot be traced becomes a single node. Raise UntraceableError with the reason where that is the whole backbone.
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
            path, why = different[0].meta["inside"], "its forward pass differs in training"
        except _TracingError as error:
            path, why = error.args
        finally:
            backbone.eval()
        if not path or path in leaves:
            raise UntraceableError(why)
        leaves.add(path)


class _TracingError(Exception):
    """The path of a module that cannot be traced, and the reason."""


class _Tracer(Tracer):
    """Trace a network and execute it at the same time."""

    proxy_buffer_attributes = True

    def __init__(self, leaves: set[str], size: int) -> None:
        super().__init__(autowrap_functions=tuple(f for f in get_notrace_functions() if callable(f)))
        self.leaves, self.untraced = leaves, tuple(get_notrace_modules())
        self.example = torch.empty(IMAGES, 3, size, size, device="meta")
        self.evaluating = False

    def trace(self, root: nn.Module, concrete_args: Any = None) -> Graph:
        """Trace; raise _TracingError with the path of the innermost module that was being traced."""
        try:
            with torch.no_grad():
                return super().trace(root)
        except Exception as error:  # code that cannot be traced raises anything
            path = [path for path, _ in self.module_stack.values()][-1:] or [""]
            why = (str(error).strip() or "no reason given").splitlines()[0]
            raise _TracingError(path[0], f"{type(error).__name__}: {why}") from error

    def create_args_for_root(self, root_fn: Any, is_module: bool, concrete_args: Any = None) -> tuple[Any, list[Any]]:
        """Pass a network its images only; its other arguments keep their defaults."""
        self.interpreter = _Interpreter(self.root, garbage_collect_values=False, graph=self.graph)
        return root_fn, [self.root, self.create_proxy("placeholder", "x", (), {})]

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Trace only modules that contain blocks."""
        if module_qualified_name in self.leaves or isinstance(m, self.untraced):
            return True
        return type(m) not in (nn.Sequential, nn.ModuleList) and not _holds_blocks(m)

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Record a call of a module, or trace the module."""
        if (
            self.evaluating or m not in self.submodule_paths
        ):  # a slice of an nn.Sequential is not a module of the network
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Proxy]) -> Any:
        """Record that parameters and buffers are read, unless a recorded call reads them."""
        return attr_val if self.evaluating else super().getattr(attr, attr_val, parameter_proxy_cache)

    def create_proxy(self, kind: str, target: Any, args: Any, kwargs: Any, *rest: Any, **more: Any) -> Any:
        """Execute the call too; if its result is a number or the like, return that and drop the node."""
        proxy = super().create_proxy(kind, target, args, kwargs, *rest, **more)
        node, stack = proxy.node, [path for path, _ in self.module_stack.values()]
        if kind == "get_attr" and target.startswith("_tensor_constant"):
            raise ValueError("it creates tensors")
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
        """Return a proxy with the shape of its tensor."""
        return _Known(node, self)


class _Known(Proxy):
    """A proxy that has the shape and the dtype of its tensor."""

    def __getattr__(self, name: str) -> Any:
        if name in ("shape", "ndim", "dtype", "is_cuda", "requires_grad"):
            return getattr(self.node.meta["value"], name)
        return super().__getattr__(name)


def layers_of(module: nn.Module) -> int:
    """Count a module's weights with two or more dimensions: those of convolutions and linear layers."""
    return sum(p.ndim > 1 for p in module.parameters())


def _holds_blocks(module: nn.Module) -> bool:
    """Say whether a module is a sequence of blocks, or contains one."""
    if isinstance(module, (nn.Sequential, nn.ModuleList, nn.ModuleDict)):
        return sum(layers_of(child) > 1 for child in module.children()) > 1
    return any(_holds_blocks(child) for child in module.children())


class Stage(nn.Module):
    """One stage of a backbone, which shares the backbone's modules and parameters."""

    def __init__(self, backbone: nn.Module, graphs: tuple[Graph, Graph]) -> None:
        """Take the stage's graphs in evaluation and in training, parts of what `trace` returns."""
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
        """Move to another device; this replaces buffers, so the backbone gets the new ones too."""
        super()._apply(*args, **kwargs)
        for owner, own, name in self.owners:
            setattr(owner, own, getattr(self, name))
        return self

    def extra_repr(self) -> str:
        """Show the graphs, so that different computations with the same modules have different texts."""
        return "\n".join(map(str, self.graphs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the input of the next stage."""
        return _Interpreter(self.whole[0], graph=self.graphs[self.training]).run(x)


class _Interpreter(Interpreter):
    """Run a graph with any number of images."""

    images = IMAGES

    def run(self, x: torch.Tensor) -> Any:  # type: ignore[override]
        """Return the output for x (N, ...)."""
        self.images = len(x)
        return super().run(x)

    def map_nodes_to_values(self, args: Any, n: Node) -> Any:
        """Look values up and insert the number of images; lists become plain lists, as some modules modify them."""
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
