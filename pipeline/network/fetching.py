"""Fetch backbones that are in no Python package from where their names point, and store them."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import timm
import torchvision
from safetensors.torch import save
from torch import nn

from pipeline.common.errors import UserError
from pipeline.common.files import atomic, read_json, write_json
from pipeline.common.hashes import digest
from pipeline.config.backbone_table import Backbone, Own, folder_of, resolve, told
from pipeline.config.recipe import Recipe
from pipeline.inference.network import Network
from pipeline.network import downloads
from pipeline.network.architectures import nominal, on_meta, unfitted
from pipeline.network.checkpoints import fit, read
from pipeline.network.cut import check, describe, place, stages
from pipeline.network.downloads import DownloadedWeights
from pipeline.network.pretrained import about

# Opens a registered model: takes its reference; yields its version and a folder of model.json and model.safetensors.
Registered = Callable[[str], AbstractContextManager[tuple[str, Path]]]


@dataclass(frozen=True)
class BackboneRequest:
    """What the strategies need of one backbone."""

    name: str
    pretrained: bool  # whether any of them uses pretrained weights
    cuts: Mapping[str, Sequence[int | str]]  # by strategy


def fetch(request: BackboneRequest, own: Own, root: Path, out: Path, registered: Registered) -> dict[str, str]:
    """Write `about.json` and, if weights are needed, `model.safetensors`; return the backbone's entry in the index.

    Paths of files are relative to `root`; `registered` opens models of a registry. Raise UserError for an unknown
    network, a file that does not fit, a missing network connection, or a cut past the end.
    """
    try:
        return _fetch(request, own, root, out, registered)
    except UserError as error:
        raise UserError(f"strategies.{' and '.join(request.cuts)}: backbone {request.name}: {error}") from None


def _fetch(request: BackboneRequest, own: Own, root: Path, out: Path, registered: Registered) -> dict[str, str]:
    backbone, take = _found(resolve(request.name, own), root, registered)
    network = _network(request, backbone)
    backbone = replace(backbone, stages=len(stages(network)) - 1, **told(request.name, own))
    for cut in {cut for cuts in request.cuts.values() for cut in cuts}:
        place(network, cut)
    folder, origin = out / folder_of(request.name), backbone.origin
    entry = about(backbone, name=request.name, source=origin, notes=[], sha256=None, bytes=None)
    if request.pretrained and not backbone.package:
        fetched = take()
        classifier, named = _classifier(backbone, network.backbone), f"{backbone.library}/{backbone.architecture}"
        fitted = fit(fetched.source, fetched.tensors, network.backbone.state_dict(), classifier, named)
        path = folder / "model.safetensors"
        with atomic(path) as temporary:
            temporary.write_bytes(save({name: tensor.contiguous() for name, tensor in fitted.tensors.items()}))
        left = (
            f"ignored, as the classifier of the source task: {', '.join(fitted.dropped[:10])}" if fitted.dropped else ""
        )
        left = left if (origin or "").startswith("file:") else ""
        entry |= {"source": fetched.source, "notes": [note for note in (fetched.note, left) if note]}
        entry |= {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}
    for note in entry["notes"]:
        print(f"{request.name}: {note}")
    write_json(folder / "about.json", entry)
    return {"folder": folder.name, "digest": digest(entry)}


def _found(backbone: Backbone, root: Path, registered: Registered) -> tuple[Backbone, Callable[[], DownloadedWeights]]:
    """Complete a backbone with what its origin knows of it; return it, and a function that gets its tensors."""
    kind, _, rest = (backbone.origin or "").partition(":")
    if kind == "models":
        return _from_registry(backbone, registered)
    if backbone.package or backbone.origin is None:
        return backbone, lambda: DownloadedWeights({}, "")
    backbone = downloads.described(backbone)
    return backbone, (lambda: _from_file(root, rest)) if kind == "file" else lambda: downloads.download(backbone)


def _from_file(root: Path, file: str) -> DownloadedWeights:
    path = root / file
    outside = not path.resolve().is_relative_to(root.resolve())
    note = f"{file} is outside this folder; anyone who repeats the run needs it too" if outside else ""
    return DownloadedWeights(read(path, "name another file in `backbone_aliases`"), file, note)


def _from_registry(backbone: Backbone, registered: Registered) -> tuple[Backbone, Callable[[], DownloadedWeights]]:
    """Return the backbone of a model that this pipeline registered, and a function that gets its tensors."""
    with registered(backbone.origin or "") as (version, folder):
        spec = read_json(folder / "model.json")
        tensors = read(folder / "model.safetensors", "register the model again")
    ours = {"architecture", "options", "mean", "std", "image_size"}
    if not isinstance(spec, dict) or not ours <= spec.keys():
        raise UserError(f"{backbone.origin}: its model.json lacks {', '.join(sorted(ours - set(spec)))}; name a model "
                        "that this pipeline registered")  # fmt: skip
    made = replace(backbone, architecture=spec["architecture"], library=spec.get("library", "timm"),
                   options=unfitted(spec["options"]),
                   mean=tuple(spec["mean"]), std=tuple(spec["std"]), size=spec["image_size"],
                   interpolation=spec.get("interpolation", "bilinear"), origin=version)  # fmt: skip
    return made, lambda: DownloadedWeights(tensors, version)


def _network(request: BackboneRequest, backbone: Backbone) -> Network:
    """Build a backbone's network on the meta device, without weights."""
    size = backbone.size or nominal(backbone.library, backbone.architecture)
    plain: dict[str, Any] = {"weights": "random", "cut": "input", "epochs": 1, "learning_rate": 0.1}
    recipe = Recipe(backbone=request.name, image_size=size, **plain)
    spec = describe(recipe, backbone, ("a", "b"), recipe.image_size, 3, ("identity",))
    check(spec)
    return on_meta(lambda: Network(spec)).to("meta")


def _classifier(backbone: Backbone, headless: nn.Module) -> set[str]:
    """Return the first parts of the names of the tensors that a library's complete network has beyond its backbone."""
    made: Any = torchvision.models.get_model if backbone.library == "torchvision" else timm.create_model
    whole = on_meta(lambda: made(backbone.architecture, **backbone.options))
    return {name.split(".")[0] for name in whole.state_dict().keys() - headless.state_dict().keys()}
