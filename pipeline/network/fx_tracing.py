"""What a network does to its input, written down as steps between which it can be cut.

`torch.fx` records the calls; here every call is also made, on the meta device, where tensors have a shape and no
content. So sizes are numbers while tracing, and only what depends on the number of images stays open. Blocks are
recorded as one step each: what happens inside them, in training or in evaluation, is their own affair.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from timm.layers import get_notrace_functions, get_notrace_modules
from torch import nn
from torch.fx import Node, Proxy, Tracer

from pipeline.network.fx_steps import IMAGES, Images, Modal, Ref, Step, layers_of, mapped


class UntraceableError(Exception):
    """The steps of a network cannot be told."""


def trace(backbone: nn.Module, size: int) -> list[Step]:
    """Return the steps of a backbone on the meta device, for images of `size` pixels; the last gives the features.

    Raise UntraceableError, saying why, where its forward cannot be followed.
    """
    leaves: set[str] = set()
    while True:
        tracers = [_Tracer(leaves), _Tracer(leaves)]
        try:
            for tracer, training in zip(tracers, (False, True)):
                backbone.train(training)
                tracer.follow(backbone, size)
            return _merged(*tracers)
        except _CulpritError as error:
            if not error.path or error.path in leaves:
                raise UntraceableError(error.why) from None
            leaves.add(error.path)  # it becomes a step as a whole
        finally:
            backbone.eval()


class _CulpritError(Exception):
    """A module whose inside cannot be followed."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(path, why)
        self.path, self.why = path, why


class _Tracer(Tracer):
    """Record the calls of a network, and make them."""

    def __init__(self, leaves: set[str]) -> None:
        super().__init__(autowrap_functions=tuple(f for f in get_notrace_functions() if callable(f)))
        self.leaves, self.evaluating, self.inside = leaves, False, [""]
        self.unfollowed = tuple(get_notrace_modules())

    def follow(self, backbone: nn.Module, size: int) -> None:
        """Trace; raise _CulpritError naming the innermost module that was being followed."""
        self.example = torch.empty(IMAGES, 3, size, size, device="meta")
        self.inside = [""]
        with torch.no_grad():
            try:
                self.steps = list(self.trace(backbone).nodes)
            except Exception as error:  # whatever code that was not written for it stumbles over
                why = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
                raise _CulpritError(self.inside[-1], why) from error

    def create_args_for_root(self, root_fn: Any, is_module: bool, concrete_args: Any = None) -> tuple[Any, list[Any]]:
        """Give a network its images alone; whatever else it could take stays at its default."""
        return root_fn, [self.root, self.create_proxy("placeholder", "x", (), {})]

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Follow only what holds blocks."""
        if module_qualified_name in self.leaves or isinstance(m, self.unfollowed):
            return True
        return type(m) not in (nn.Sequential, nn.ModuleList) and not _holds_blocks(m)

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Record a step, or what happens inside; remember where an error came from."""
        if self.evaluating or m not in self.submodule_paths:  # a slice of a row of blocks is no module of the network
            return forward(*args, **kwargs)
        path = self.path_of_module(m)
        self.inside.append(path)
        result = super().call_module(m, forward, args, kwargs)
        self.inside.pop()
        return result

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Proxy]) -> Any:
        """Record the reading of parameters and buffers, but not by what is only run."""
        return attr_val if self.evaluating else super().getattr(attr, attr_val, parameter_proxy_cache)

    proxy_buffer_attributes = True

    def create_node(self, *args: Any, **kwargs: Any) -> Node:
        """Note which module a step belongs to."""
        node = super().create_node(*args, **kwargs)
        node.meta["inside"] = self.inside[-2] if node.op == "call_module" else self.inside[-1]
        return node

    def create_proxy(self, kind: str, target: Any, args: Any, kwargs: Any, *rest: Any, **more: Any) -> Any:
        """Make the call too; return its result where that is plain and the same for any number of images."""
        proxy = super().create_proxy(kind, target, args, kwargs, *rest, **more)
        node = proxy.node
        value = self.example if kind == "placeholder" else self._called(node)
        node.meta["value"] = value
        node.meta["version"] = value._version if isinstance(value, torch.Tensor) else None
        return self._plain(value, proxy)

    def _called(self, node: Node) -> Any:
        args, kwargs = mapped(node.args, _value), mapped(node.kwargs, _value)
        self.evaluating = True
        try:
            if node.op == "call_module":
                return self.root.get_submodule(node.target)(*args, **kwargs)
            if node.op == "get_attr":
                if node.target.startswith("_tensor_constant"):
                    raise ValueError("it makes tensors of its own")
                path, _, name = node.target.rpartition(".")
                return getattr(self.root.get_submodule(path), name)
            if node.op == "call_method":
                return getattr(args[0], node.target)(*args[1:], **kwargs)
            return args[0] if node.op == "output" else node.target(*args, **kwargs)
        finally:
            self.evaluating = False

    def _plain(self, value: Any, proxy: Proxy) -> Any:
        if isinstance(value, (tuple, list)):
            return (list if isinstance(value, list) else tuple)(proxy[i] for i in range(len(value)))
        if isinstance(value, int) and not isinstance(value, bool) and value and value % IMAGES == 0:
            return proxy
        return value if value is None or isinstance(value, (int, float, bool, str, torch.dtype)) else proxy

    def proxy(self, node: Node) -> Proxy:
        """Return a proxy that knows what its tensor is like."""
        return _Known(node, self)


class _Known(Proxy):
    """A proxy whose shape and kind can be asked for."""

    def __getattr__(self, name: str) -> Any:
        if name in ("shape", "ndim", "dtype", "is_cuda", "requires_grad"):
            return self.tracer.create_proxy("call_function", getattr, (self, name), {})
        return super().__getattr__(name)

    def __iter__(self) -> Iterator[Any]:
        return iter([self[i] for i in range(len(self.node.meta["value"]))])

    def __len__(self) -> int:
        return len(self.node.meta["value"])


def _value(argument: Any) -> Any:
    return argument.meta["value"] if isinstance(argument, Node) else argument


def _holds_blocks(module: nn.Module) -> bool:
    """Say whether a module is a row of blocks, or has one inside."""
    if isinstance(module, (nn.Sequential, nn.ModuleList, nn.ModuleDict)):
        return sum(layers_of(child) > 1 for child in module.children()) > 1
    return any(_holds_blocks(child) for child in module.children())


def _merged(evaluation: _Tracer, training: _Tracer) -> list[Step]:
    """Return the steps of both modes as one list."""
    names = [[(n.op, n.target, n.name) for n in t.steps] for t in (evaluation, training)]
    if names[0] != names[1]:
        first = next((i for i, pair in enumerate(zip(*names)) if pair[0] != pair[1]), -1)
        raise _CulpritError(evaluation.steps[first].meta["inside"], "it does other things in training")
    return [_step(e, t, evaluation) for e, t in zip(evaluation.steps, training.steps)]


def _step(node: Node, twin: Node, tracer: _Tracer) -> Step:
    value = node.meta.get("value")
    tensor = isinstance(value, torch.Tensor)
    module = tracer.root.get_submodule(node.target) if node.op == "call_module" else None
    whole = tensor and value._version == node.meta["version"]
    args, kwargs = (_paired(a, b) for a, b in ((node.args, twin.args), (dict(node.kwargs), dict(twin.kwargs))))
    layers = layers_of(module) if module is not None else 0
    return Step(node.name, node.op, node.target, args, kwargs, tuple(value.shape) if tensor else None, whole, layers)


def _paired(evaluation: Any, training: Any) -> Any:
    """Return an argument with what stands for results, and for what depends on the mode."""
    if isinstance(evaluation, Node):
        return Images() if _is_images(evaluation) else Ref(evaluation.name)
    if isinstance(evaluation, dict):
        return {key: _paired(evaluation[key], training[key]) for key in evaluation}
    if isinstance(evaluation, (tuple, list)):
        pairs = zip(evaluation, training)
        return (tuple if isinstance(evaluation, tuple) else list)(_paired(a, b) for a, b in pairs)
    if isinstance(evaluation, slice):
        ends = [(s.start, s.stop, s.step) for s in (evaluation, training)]
        return slice(*(_paired(a, b) for a, b in zip(*ends)))
    return evaluation if evaluation == training else Modal(training, evaluation)


def _is_images(node: Node) -> bool:
    value = node.meta["value"]
    return isinstance(value, int) and value == IMAGES
