"""Pretrained weights, from where the catalog says they are into a network."""

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from pipeline.catalog import Backbone
from pipeline.errors import UserError


def load_pretrained(module: nn.Module, backbone: Backbone) -> None:
    """Load a catalog backbone's weights into its timm module, in place.

    Tensors are matched in order and by shape: packages name them as their own implementation does. Trailing
    tensors of the file, the classifier of its source task, are left out. Raise UserError where the package is
    missing, its file cannot be read, or a tensor does not fit; the module is then as it was.
    """
    path = _weights_file(backbone)
    source, own = _tensors(path, backbone), module.state_dict()
    pairs = list(zip(own, source.items()))
    for name, (theirs, tensor) in pairs:
        if own[name].shape != tensor.shape:
            raise UserError(
                f"{path}: {theirs} {tuple(tensor.shape)} does not fit {name} {tuple(own[name].shape)} of "
                f"{backbone.architecture}; {_reinstall(backbone)}"
            )
    if len(pairs) < len(own):
        raise UserError(
            f"{path}: holds {len(source)} tensors, {backbone.architecture} needs {len(own)}; {_reinstall(backbone)}"
        )
    module.load_state_dict({name: tensor for name, (_, tensor) in pairs})


def _tensors(path: Path, backbone: Backbone) -> dict[str, torch.Tensor]:
    try:
        source = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the damage makes torch stumble over: OSError, RuntimeError, KeyError, ...
        raise UserError(
            f"{path}: not a readable weights file ({type(error).__name__}); {_reinstall(backbone)}"
        ) from None
    if not isinstance(source, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in source.values()):
        raise UserError(f"{path}: expected tensors by name, found something else; {_reinstall(backbone)}")
    return source


def _reinstall(backbone: Backbone) -> str:
    return f"reinstall the package: uv sync --reinstall-package {_project(backbone)}"


def _project(backbone: Backbone) -> str:
    assert backbone.package is not None, "params refuse `pretrained` for backbones without weights"
    return backbone.package.replace("_", "-")


def _weights_file(backbone: Backbone) -> Path:
    assert backbone.package is not None, "params refuse `pretrained` for backbones without weights"
    spec = find_spec(backbone.package)
    if spec is None or spec.origin is None:
        name = _project(backbone)
        raise UserError(f"the weights of {backbone.architecture} are in the package {name}: uv sync --group weights")
    files = sorted(Path(spec.origin).parent.rglob("*.pth"))
    if len(files) != 1:
        folder = Path(spec.origin).parent
        raise UserError(f"{folder}: expected one .pth file, found {len(files)}; {_reinstall(backbone)}")
    return files[0]
