"""Fetch backbones that no package of this project holds from where their names say they are, and write them down."""

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

# Opens a registered model by its reference: its version, and a folder of model.json and model.safetensors.
Registered = Callable[[str], AbstractContextManager[tuple[str, Path]]]


@dataclass(frozen=True)
class Ask:
    """What strategies want of one backbone."""

    name: str
    pretrained: bool  # by any of them
    cuts: Mapping[str, Sequence[int | str]]  # by strategy


def fetch(ask: Ask, own: Own, root: Path, out: Path, registered: Registered) -> dict[str, str]:
    """Write `about.json`, and `model.safetensors` where weights are asked for; return the entry of the index.

    Paths of files are relative to `root`; `registered` is how models of a registry are opened. Raise UserError for what
    the user can fix: an unknown network, a file that does not fit, no network connection, a cut past the end.
    """
    try:
        return _fetch(ask, own, root, out, registered)
    except UserError as error:
        raise UserError(f"strategies.{' and '.join(ask.cuts)}: backbone {ask.name}: {error}") from None


def _fetch(ask: Ask, own: Own, root: Path, out: Path, registered: Registered) -> dict[str, str]:
    backbone, take = _found(resolve(ask.name, own), root, registered)
    network = _network(ask, backbone)
    backbone = replace(backbone, stages=len(stages(network)) - 1, **told(ask.name, own))
    for cut in {cut for cuts in ask.cuts.values() for cut in cuts}:
        place(network, cut)
    folder, origin = out / folder_of(ask.name), backbone.origin
    entry = about(backbone, name=ask.name, source=origin, notes=[], sha256=None, bytes=None)
    if ask.pretrained and not backbone.package:
        fetched = take()
        classifier, named = _classifier(backbone, network.backbone), f"{backbone.library}/{backbone.architecture}"
        fitted = fit(fetched.source, fetched.tensors, network.backbone.state_dict(), classifier, named)
        path = folder / "model.safetensors"
        with atomic(path) as temporary:
            temporary.write_bytes(save({name: tensor.contiguous() for name, tensor in fitted.tensors.items()}))
        left = f"left out, as the source's own classifier: {', '.join(fitted.dropped[:10])}" if fitted.dropped else ""
        left = left if (origin or "").startswith("file:") else ""
        entry |= {"source": fetched.source, "notes": [note for note in (fetched.note, left) if note]}
        entry |= {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}
    for note in entry["notes"]:
        print(f"{ask.name}: {note}")
    write_json(folder / "about.json", entry)
    return {"folder": folder.name, "digest": digest(entry)}


def _found(backbone: Backbone, root: Path, registered: Registered) -> tuple[Backbone, Callable[[], DownloadedWeights]]:
    """Return a backbone with all that its origin tells of it, and how to get its tensors."""
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
    note = f"{file} is outside of this folder: whoever repeats the run needs it too" if outside else ""
    return DownloadedWeights(read(path, "name another file in `backbone_aliases`"), file, note)


def _from_registry(backbone: Backbone, registered: Registered) -> tuple[Backbone, Callable[[], DownloadedWeights]]:
    """Return what a registered model of ours was made from, and its tensors."""
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


def _network(ask: Ask, backbone: Backbone) -> Network:
    """Return a backbone's network without its weights: tensors that have a shape and no content."""
    size = backbone.size or nominal(backbone.library, backbone.architecture)
    plain: dict[str, Any] = {"weights": "random", "cut": "input", "epochs": 1, "learning_rate": 0.1}
    recipe = Recipe(backbone=ask.name, image_size=size, **plain)
    spec = describe(recipe, backbone, ("a", "b"), recipe.image_size, 3, ("identity",))
    check(spec)
    return on_meta(lambda: Network(spec)).to("meta")


def _classifier(backbone: Backbone, headless: nn.Module) -> set[str]:
    """Return what the names of the tensors begin with that a library's complete network has and its backbone lacks."""
    made: Any = torchvision.models.get_model if backbone.library == "torchvision" else timm.create_model
    whole = on_meta(lambda: made(backbone.architecture, **backbone.options))
    return {name.split(".")[0] for name in whole.state_dict().keys() - headless.state_dict().keys()}
