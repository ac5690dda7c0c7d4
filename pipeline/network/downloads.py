"""Weights published by a library: described offline, downloaded once, verified, kept in the library's own cache."""

import difflib
import hashlib
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlparse
from urllib.request import Request, urlopen

import timm
import torch
import torchvision
from torch.hub import HASH_REGEX

from pipeline.common.errors import UserError, first_line
from pipeline.config.backbone_table import Backbone
from pipeline.network.checkpoints import Tensors, read

TIMEOUT = 30.0  # seconds without a byte, after which a download is given up


@dataclass(frozen=True)
class DownloadedWeights:
    """Tensors by the library's names, their source, and a note on them for the user."""

    tensors: Tensors
    source: str
    note: str = ""


def described(backbone: Backbone) -> Backbone:
    """Complete a library's backbone with what the library knows of it; raise UserError where it has no such network."""
    return _torchvision(backbone) if backbone.library == "torchvision" else _timm(backbone)


def download(backbone: Backbone) -> DownloadedWeights:
    """Return the published weights of a described backbone, downloaded unless they are cached."""
    if backbone.library == "torchvision":
        return _from_torchvision(backbone)
    return _from_timm(backbone)


def _unknown(library: str, name: str, known: list[str]) -> UserError:
    close = difflib.get_close_matches(name, known, n=3)
    return UserError(f"{library} has no network {name!r}" + (f"; did you mean {' or '.join(close)}?" if close else ""))


def _torchvision(backbone: Backbone) -> Backbone:
    known = torchvision.models.list_models(module=torchvision.models)
    if backbone.architecture not in known:
        raise _unknown("torchvision", backbone.architecture, known)
    weights = _member(backbone)
    seen = weights.transforms()
    return _completed(backbone, tuple(seen.mean), tuple(seen.std), seen.crop_size[0], seen.interpolation.value,
                 f"torchvision:{weights.name}", weights.meta.get("license"))  # fmt: skip


def _completed(backbone: Backbone, mean: Any, std: Any, size: int, interpolation: str, origin: str,
          licence: str | None) -> Backbone:  # fmt: skip
    """Complete a backbone with what its library says of it, and of its weights if they are the library's."""
    said = {"size": size, "interpolation": interpolation, "mean": mean, "std": std}
    if not (backbone.origin or "").startswith("file:"):
        said["origin"] = origin
        said["licence"] = licence or backbone.licence
    return replace(backbone, **said)


def _member(backbone: Backbone) -> Any:
    enum = torchvision.models.get_model_weights(backbone.architecture)
    kind, _, name = (backbone.origin or "").partition(":")
    name = name if kind == "torchvision" else "DEFAULT"
    if name not in enum.__members__:
        raise UserError(
            f"torchvision/{backbone.architecture} has no weights {name!r}; there are {', '.join(enum.__members__)}"
        )
    return enum[name]


def _timm(backbone: Backbone) -> Backbone:
    name, _, tag = backbone.architecture.partition(".")
    if not timm.is_model(name):
        raise _unknown("timm", name, timm.list_models())
    cfgs = timm.models.get_arch_pretrained_cfgs(name)
    if tag and backbone.architecture not in cfgs:
        tags = ", ".join(key.partition(".")[2] for key in cfgs if "." in key)
        raise UserError(f"timm/{name} has no weights {tag!r}; there are {tags or 'none'}")
    cfg = timm.models.get_pretrained_cfg(backbone.architecture)
    full = f"{name}.{cfg.tag}" if cfg.tag and cfg.has_weights else backbone.architecture
    completed = _completed(
        backbone, tuple(cfg.mean), tuple(cfg.std), cfg.input_size[-1], cfg.interpolation, "timm", cfg.license
    )
    return replace(completed, architecture=full)


def hub_folder() -> Path:
    """Return the folder of torch's downloads; TORCH_HOME moves it."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def downloaded(name: str, url: str) -> tuple[Path, str]:
    """Return a URL's file in torch's cache, downloaded if need be, and a note for the user.

    A download must have the hash that is part of its name. A cached file is used as it is, as torch does, with a note
    if its hash differs. Raise UserError where the file cannot be had.
    """
    file = hub_folder() / os.path.basename(urlparse(url).path)
    found = HASH_REGEX.search(file.name)
    expected = found.group(1) if found else ""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        print(f"{name}: downloading {url}", file=sys.stderr)
        with explain_download(name, url, file), _timeout():
            torch.hub.download_url_to_file(url, str(file), expected or None)
        return file, ""
    with file.open("rb") as stream:
        actual = hashlib.file_digest(stream, "sha256").hexdigest()
    differs = not actual.startswith(expected)
    return (
        file,
        f"{file.name} was cached already; its sha256 {actual[:8]} is not the {expected} in its name" if differs else "",
    )


@contextmanager
def explain_download(name: str, url: str, file: Path) -> Iterator[None]:
    """Turn any failure of a download into a UserError that says how to get the file without a network."""
    try:
        yield
    except (OSError, HTTPException, RuntimeError) as error:
        reason = first_line(error)
        raise UserError(
            f"{name}: its weights could not be downloaded ({reason}). Without a network, copy the file yourself:\n"
            f"  from      {url}\n  as        {file.name}\n  in folder {file.parent}\n"
            "and run dvc repro again; or use `weights: random`"
        ) from None


def _reach(url: str) -> None:
    """Raise OSError where a server does not answer; the hub's own client would try for a minute."""
    with suppress(HTTPError), urlopen(Request(url, method="HEAD"), timeout=TIMEOUT):  # any answer will do
        pass


@contextmanager
def _timeout() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _from_torchvision(backbone: Backbone) -> DownloadedWeights:
    url = _member(backbone).url
    file, note = downloaded(f"torchvision/{backbone.architecture}", url)
    return DownloadedWeights(read(file, "delete it and run dvc repro again"), url, note)


def _is_kept(cfg: Any) -> bool:
    """Say whether the weights are cached by the hub or by torch."""
    if not cfg.hf_hub_id:
        return True  # downloaded above
    from huggingface_hub import try_to_load_from_cache

    names = [cfg.hf_hub_filename] if cfg.hf_hub_filename else ["model.safetensors", "pytorch_model.bin"]
    return any(isinstance(try_to_load_from_cache(cfg.hf_hub_id, name), str) for name in names)


def _from_timm(backbone: Backbone) -> DownloadedWeights:
    """Load tensors through timm, which renames them; from torch's cache if `<architecture>.safetensors` is there."""
    name = f"timm/{backbone.architecture}"
    cfg = timm.models.get_pretrained_cfg(backbone.architecture)
    if not cfg.has_weights:
        raise UserError(
            f"{name}: timm has no weights for it; use `weights: random`, or name a file in `backbone_aliases`"
        )
    file = hub_folder() / f"{backbone.architecture}.safetensors"
    overlay: dict[str, Any] = {}
    if file.exists():
        source, overlay = str(file), {"file": str(file)}
    elif cfg.hf_hub_id:
        from huggingface_hub import constants

        source = f"{constants.ENDPOINT}/{cfg.hf_hub_id}/resolve/main/{cfg.hf_hub_filename or 'model.safetensors'}"
    else:
        source = cfg.url
        downloaded(name, source)  # where timm looks for it
    with explain_download(name, source, file):
        if not overlay and not _is_kept(cfg):
            _reach(source)
        network = timm.create_model(backbone.architecture, pretrained=True, num_classes=0, **backbone.options,
                                    pretrained_cfg_overlay=overlay)  # fmt: skip
    return DownloadedWeights(network.state_dict(), source)
