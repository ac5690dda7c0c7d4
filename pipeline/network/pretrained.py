"""Pretrained weights, from where they are on this machine into a network."""

import sys
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import nn

from pipeline.common.errors import UserError
from pipeline.common.files import read_json
from pipeline.common.hashes import digest
from pipeline.config.backbone_table import BACKBONES, Backbone, folder_of, resolve
from pipeline.config.recipe import Recipe
from pipeline.inference.classifier import load_tensors
from pipeline.network.checkpoints import Tensors, read

AGAIN = "bring it again: uv run dvc repro -f weights"


@dataclass(frozen=True)
class WeightStore:
    """What stage `weights` has brought: a folder for each backbone that no package of this project holds.

    Without a folder there are the packaged weights, and libraries' networks with random ones.
    """

    folder: Path | None = None

    def backbone(self, name: str) -> Backbone:
        """Return a backbone as the stage found it; raise UserError where it has brought none of that name."""
        if name in BACKBONES or self.folder is None:
            return resolve(name)
        return backbone_from(self._about(name)["backbone"])

    def load(self, name: str, module: nn.Module) -> None:
        """Load a backbone's pretrained weights into its module, in place; raise UserError where they do not fit."""
        backbone = self.backbone(name)
        if backbone.package:
            return load_pretrained(module, backbone)
        path = self._folder(name) / "model.safetensors"
        own, tensors = module.state_dict(), read(path, AGAIN)
        if any(key in tensors and tensors[key].shape != tensor.shape for key, tensor in own.items()):
            tensors = _resized(tensors, module, backbone)
        for key, tensor in own.items():
            if key not in tensors or tensors[key].shape != tensor.shape:
                shape = tuple(tensors[key].shape) if key in tensors else "missing"
                raise UserError(
                    f"{path}: {key} is {shape}, {backbone.architecture} needs {tuple(tensor.shape)}; {AGAIN}"
                )
        load_tensors(module, {key: tensors[key] for key in own})

    def identity(self, recipe: Recipe) -> dict[str, Any]:
        """Return what tells a recipe's backbone apart from another of that name; nothing of those in BACKBONES."""
        if recipe.backbone in BACKBONES or self.folder is None:
            return {}
        about = self._about(recipe.backbone)
        return {
            "backbone": [_described(about["backbone"]), about["sha256"] if recipe.weights == "pretrained" else None]
        }

    def digests(self, names: Iterable[str]) -> dict[str, Any]:
        """Return the same for backbones of which weights may be random or pretrained."""
        found = {name: self._about(name) for name in names if name not in BACKBONES and self.folder}
        told = {name: [_described(about["backbone"]), about["sha256"]] for name, about in found.items()}
        return {"backbones": told} if told else {}

    def _about(self, name: str) -> dict[str, Any]:
        return read_json(self._folder(name) / "about.json")

    def _folder(self, name: str) -> Path:
        if self.folder is None or not (self.folder / folder_of(name) / "about.json").exists():
            raise UserError(f"backbone {name!r} was not brought to {self.folder}; run: uv run dvc repro weights")
        return self.folder / folder_of(name)


PACKAGED = WeightStore()  # for those who use the packaged backbones alone


def backbone_from(raw: dict[str, Any]) -> Backbone:
    """Rebuild a Backbone from `asdict` of one that went through JSON."""
    return Backbone(**{**raw, "mean": tuple(raw["mean"]), "std": tuple(raw["std"])})


def _described(raw: dict[str, Any]) -> str:
    """Return a hash of what changes a result; where weights came from does not."""
    return digest({key: value for key, value in raw.items() if key not in ("origin", "package", "licence")})


def _resized(tensors: Tensors, module: Any, backbone: Backbone) -> Tensors:
    """Return tensors with embeddings of positions scaled to the size of image that a network was made for."""
    if backbone.library == "torchvision":
        from torchvision.models.vision_transformer import interpolate_embeddings

        if not hasattr(module, "image_size"):
            return tensors
        return interpolate_embeddings(module.image_size, module.patch_size, OrderedDict(tensors))
    filtered = getattr(sys.modules[type(module).__module__], "checkpoint_filter_fn", None)  # as timm does with files
    return filtered(dict(tensors), module) if filtered else tensors


def load_pretrained(module: nn.Module, backbone: Backbone) -> None:
    """Load a packaged backbone's weights into its timm module, in place.

    Tensors are matched in order and by shape: packages name them as their own implementation does. Trailing
    tensors of the file, the classifier of its source task, are left out. Raise UserError where the package is
    missing, its file cannot be read, or a tensor does not fit; the module is then as it was.
    """
    path = _weights_file(backbone)
    source, own = read(path, _reinstall(backbone)), module.state_dict()
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


def about(backbone: Backbone, **more: Any) -> dict[str, Any]:
    """Return what is kept beside weights, as `Shelf` reads it."""
    return {"backbone": asdict(backbone), **more}


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
