"""Pretrained weights: where they are on this machine, and how they get into a network."""

import sys
from collections import OrderedDict
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import nn

from pipeline.common.errors import UserError
from pipeline.common.files import read_json
from pipeline.common.hashes import digest, file_digest
from pipeline.config.backbone_table import BACKBONES, Backbone, folder_of, resolve
from pipeline.inference.network import load_tensors
from pipeline.network.checkpoints import Tensors, read

AGAIN = "fetch it again: uv run dvc repro -f weights"


@dataclass(frozen=True)
class LocalBackbone:
    """A backbone as found on this machine: its row, and where its pretrained weights are."""

    row: Backbone
    folder: Path | None = None  # filled by stage `weights`; None: any weights are in the row's package
    sha256: str | None = None  # of the weights in the folder; None where there are none

    def identity(self, weights: str) -> list[str | None]:
        """Identify the backbone by hashes of its row and, unless `weights` is random, of its weights."""
        return [_described(self.row), self._fingerprint() if weights == "pretrained" else None]

    def load(self, module: nn.Module) -> None:
        """Load the pretrained weights into the backbone's module, in place; raise UserError where they do not fit."""
        if self.row.package:
            return load_pretrained(module, self.row)
        if self.folder is None:
            raise UserError(f"there are no weights of {self.row.architecture} here; run: uv run dvc repro weights")
        path = self.folder / "model.safetensors"
        own, tensors = module.state_dict(), read(path, AGAIN)
        if any(key in tensors and tensors[key].shape != tensor.shape for key, tensor in own.items()):
            tensors = _resized(tensors, module, self.row)
        for key, tensor in own.items():
            if key not in tensors or tensors[key].shape != tensor.shape:
                shape = tuple(tensors[key].shape) if key in tensors else "missing"
                raise UserError(
                    f"{path}: {key} is {shape}, {self.row.architecture} needs {tuple(tensor.shape)}; {AGAIN}"
                )
        load_tensors(module, {key: tensors[key] for key in own})

    def _fingerprint(self) -> str | None:
        return _hashed(_weights_file(self.row)) if self.row.package else self.sha256


@dataclass(frozen=True)
class WeightStore:
    """The output of stage `weights`: a folder for each backbone whose weights are in no Python package.

    Without a folder, there are packaged weights, and networks of libraries with random ones.
    """

    folder: Path | None = None

    def find(self, name: str) -> LocalBackbone:
        """Look a backbone up, once for each unit; raise UserError where stage `weights` has not fetched it."""
        if name in BACKBONES or self.folder is None:
            return LocalBackbone(resolve(name))
        folder = self.folder / folder_of(name)
        if not (folder / "about.json").exists():
            raise UserError(f"backbone {name!r} is not in {self.folder}; run: uv run dvc repro weights")
        known = read_json(folder / "about.json")
        return LocalBackbone(backbone_from(known["backbone"]), folder, known["sha256"])

    def identities(self, names: Iterable[str], weights: Collection[str]) -> dict[str, list[str | None]]:
        """Return the identities of backbones by name; `weights` holds the kinds of initial weights that may be used."""
        return {name: self.find(name).identity("pretrained" if "pretrained" in weights else "random") for name in names}


PACKAGED = WeightStore()  # packaged backbones only


@cache
def _hashed(file: Path) -> str:
    """Return the hash of a file in a package, which does not change while this process runs."""
    return file_digest(file)


def backbone_from(raw: dict[str, Any]) -> Backbone:
    """Rebuild a Backbone from the JSON of its `asdict`."""
    return Backbone(**{**raw, "mean": tuple(raw["mean"]), "std": tuple(raw["std"])})


def _described(row: Backbone) -> str:
    """Hash what changes a result; the origin of the weights does not, as they have a hash of their own."""
    return digest({key: value for key, value in asdict(row).items() if key not in ("origin", "package", "licence")})


def _resized(tensors: Tensors, module: Any, backbone: Backbone) -> Tensors:
    """Interpolate position embeddings to the image size that a network was built for."""
    if backbone.library == "torchvision":
        from torchvision.models.vision_transformer import interpolate_embeddings

        if not hasattr(module, "image_size"):
            return tensors
        return interpolate_embeddings(module.image_size, module.patch_size, OrderedDict(tensors))
    filtered = getattr(
        sys.modules[type(module).__module__], "checkpoint_filter_fn", None
    )  # as timm does when it loads a file
    return filtered(dict(tensors), module) if filtered else tensors


def load_pretrained(module: nn.Module, backbone: Backbone) -> None:
    """Load a packaged backbone's weights into its timm module, in place.

    Tensors are matched by order and shape, since packages use the names of their own implementation. The last tensors
    of the file, the classifier of its source task, are ignored. Raise UserError, leaving the module unchanged, where
    the package is missing, its file cannot be read, or a tensor does not fit.
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
    """Return the description that is stored beside weights for `WeightStore`."""
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
