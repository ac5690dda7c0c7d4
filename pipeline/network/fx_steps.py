"""The steps of a network written down, and a stage that runs some of them with the network's own weights."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

IMAGES = 4999  # in the example batch: a prime, so that sizes that depend on it are known by it


@dataclass(frozen=True)
class Ref:
    """Stand for the result of an earlier step."""

    name: str


@dataclass(frozen=True)
class Images:
    """Stand for the number of images."""


@dataclass(frozen=True)
class Modal:
    """Stand for a value that is one thing in training and another in evaluation."""

    training: Any
    evaluation: Any


@dataclass(frozen=True)
class Step:
    """One call: `op` is one of torch.fx's, arguments hold `Ref`, `Images` and `Modal` where they stand for a value."""

    name: str
    op: str
    target: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    shape: tuple[int, ...] | None  # of a result that is a tensor; IMAGES stands for the number of images
    whole: bool  # no later step writes into the result
    layers: int = 0  # weights with two dimensions or more in the module that is called

    def needs(self) -> set[str]:
        """Return the names of the steps whose results this one takes."""
        found: set[str] = set()
        mapped((self.args, self.kwargs), lambda a: found.add(a.name) if isinstance(a, Ref) else None)
        return found

    def __str__(self) -> str:
        return f"{self.name} = {self.op} {getattr(self.target, '__name__', self.target)} {self.args} {self.kwargs}"


def mapped(argument: Any, change: Callable[[Any], Any]) -> Any:
    """Return an argument with `change` made to all that stands in it, in plain lists, tuples, dicts and slices."""
    if isinstance(argument, dict):
        return {key: mapped(value, change) for key, value in argument.items()}
    if isinstance(argument, (tuple, list)):
        return (tuple if isinstance(argument, tuple) else list)(mapped(value, change) for value in argument)
    if isinstance(argument, slice):
        return slice(*(mapped(value, change) for value in (argument.start, argument.stop, argument.step)))
    return change(argument)


def layers_of(module: nn.Module) -> int:
    """Return how many weights with two dimensions or more a module has, as convolutions and products have."""
    return sum(p.ndim > 1 for p in module.parameters())


@dataclass(frozen=True)
class Stage:
    """Steps from one tensor to the next."""

    takes: str
    steps: tuple[Step, ...]
    gives: str


class Segment(nn.Module):
    """One stage of a backbone, which shares the backbone's modules and parameters."""

    def __init__(self, backbone: nn.Module, stage: Stage) -> None:
        super().__init__()
        self.stage, self.last = stage, _last_uses(stage)
        self.owners: list[tuple[nn.Module, str, str]] = []  # in a list, so that they are not modules of this one
        for step in stage.steps:
            if step.op == "call_module":
                self.add_module(_slug(step.target), backbone.get_submodule(step.target))
            elif step.op == "get_attr":
                self._share(backbone, step.target)

    def _share(self, backbone: nn.Module, target: str) -> None:
        path, _, name = target.rpartition(".")
        owner = backbone.get_submodule(path)
        tensor = getattr(owner, name)
        if isinstance(tensor, nn.Parameter):
            self.register_parameter(_slug(target), tensor)
        else:
            self.register_buffer(_slug(target), tensor, persistent=False)
            self.owners.append((owner, name, _slug(target)))

    def _apply(self, *args: Any, **kwargs: Any) -> Any:
        """Move to another device; buffers are replaced there, so the backbone is given the new ones too."""
        super()._apply(*args, **kwargs)
        for owner, name, own in self.owners:
            setattr(owner, name, getattr(self, own))
        return self

    def extra_repr(self) -> str:
        """Show the steps, so that other ways through the same modules differ in their text too."""
        return "\n".join(map(str, self.stage.steps))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the next stage takes."""
        values: dict[str, Any] = {self.stage.takes: x}
        images = len(x)

        def real(argument: Any) -> Any:
            if isinstance(argument, Ref):
                return values[argument.name]
            if isinstance(argument, Modal):
                return argument.training if self.training else argument.evaluation
            return images if isinstance(argument, Images) else argument

        for step, done in zip(self.stage.steps, self.last):
            args, kwargs = mapped(step.args, real), mapped(step.kwargs, real)
            values[step.name] = self._call(step, args, kwargs)
            for name in done:
                del values[name]
        return values[self.stage.gives]

    def _call(self, step: Step, args: Any, kwargs: Any) -> Any:
        if step.op == "call_module":
            return self._modules[_slug(step.target)](*args, **kwargs)
        if step.op == "get_attr":
            return getattr(self, _slug(step.target))
        if step.op == "call_method":
            return getattr(args[0], step.target)(*args[1:], **kwargs)
        return step.target(*args, **kwargs)


def _slug(target: str) -> str:
    return target.replace(".", "/")


def _last_uses(stage: Stage) -> list[set[str]]:
    """Return which results nobody needs any more after each step."""
    seen, last = {stage.gives}, []
    for step in reversed(stage.steps):
        last.append(({*step.needs()} | {step.name}) - seen)
        seen |= {*step.needs(), step.name}
    return last[::-1]
