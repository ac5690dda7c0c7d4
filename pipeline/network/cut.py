"""One network, cut in two: a frozen stem, and a body that is trained."""

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from pipeline.common.errors import UserError
from pipeline.config.backbone_table import Backbone
from pipeline.config.recipe import Recipe
from pipeline.inference.network import Network, Tap
from pipeline.network.architectures import blueprint, fitted, nominal, unfitted
from pipeline.network.fx_tracing import Stage, UntraceableError
from pipeline.network.stage_boundaries import Plan, begins, plan
from pipeline.network.taps import carrying, find_taps

SHARES = {"early": 0.25, "middle": 0.5, "late": 0.75}  # of a backbone's stages that are frozen


def describe(
    recipe: Recipe, backbone: Backbone, classes: tuple[str, ...], size: int, channels: int, views: tuple[str, ...]
) -> dict[str, Any]:
    """Describe a network as a JSON-able spec, from which `Network` is built here and where it is served.

    `size` and `channels` are those of the packed images; the network scales them to the recipe's image_size.
    Predictions are averaged over `views`.
    """
    options = fitted(backbone.library, backbone.architecture, backbone.options, recipe.image_size)
    drawing = backbone.library, backbone.architecture, json.dumps(options), recipe.image_size
    others = {"library": (backbone.library, "timm"), "interpolation": (backbone.interpolation, "bilinear"),
              "taps": (_taps(*drawing) if recipe.features == "stages" else [], [])}  # fmt: skip
    return {
        "architecture": backbone.architecture,
        **{key: value for key, (value, default) in others.items() if value != default},
        "options": options,
        "mean": list(backbone.mean),
        "std": list(backbone.std),
        "image_size": recipe.image_size,
        "packed_size": size,
        "channels": channels,
        "head": recipe.head,
        "hidden": recipe.hidden,
        "dropout": recipe.dropout,
        "classes": list(classes),
        "views": list(views),
    }


def check(spec: dict[str, Any]) -> None:
    """Raise UserError where a spec's architecture does not accept images of its image_size."""
    _planned(*_drawing(spec))


def stages(network: Network) -> list[nn.Module]:
    """Return the network as a list of modules to run one after another; the head is the last.

    A backbone that cannot be traced is a single stage.
    """
    first, *rest = _of_backbone(network.backbone, *_drawing(network.spec))
    found = [nn.Sequential(network.preprocess, first), *rest]
    return [*(carrying(found, network.taps) if network.taps else found), network.head]


def _of_backbone(backbone: nn.Module, *drawing: Any) -> list[nn.Module]:
    known = _known(backbone)
    if known is not None:
        return known(backbone)
    _, planned = _planned(*drawing)
    return [Stage(backbone, stage) for stage in planned] or [backbone]


@lru_cache(maxsize=64)
def _taps(library: str, architecture: str, options: str, size: int) -> list[Tap]:
    """Return where a backbone's stages before the last can be tapped; none where that is not so of all of them."""
    with torch.inference_mode(False):
        backbone = blueprint(library, architecture, json.loads(options), size)
        return find_taps(backbone, _of_backbone(backbone, library, architecture, options, size), size)


def split(network: Network, cut: int | str) -> tuple[nn.Sequential, nn.Sequential]:
    """Cut a network into (stem, body) that share its modules: body(stem(x)) == network(x).

    `cut` is `input` or 0 (an empty stem), the number of the first stage of the body, `early`, `middle`, `late`, or
    `head`. Raise UserError where the network has fewer stages.
    """
    modules, at = stages(network), place(network, cut)
    return nn.Sequential(*modules[:at]), nn.Sequential(*modules[at:])


def position(cut: int | str, stages: int) -> int:
    """Return how many of a backbone's stages come before a cut; an int past the end is returned as it is.

    `early`, `middle` and `late` leave at least one stage before them, and one behind them where there are two.
    """
    if isinstance(cut, int):
        return cut
    if cut in SHARES:
        return max(1, min(stages - 1, int(stages * SHARES[cut] + 0.5)))
    return {"input": 0, "head": stages}[cut]


def place(network: Network, cut: int | str) -> int:
    """Count the stages before a cut; raise UserError where the network has fewer."""
    last = len(stages(network)) - 1
    at = position(cut, last)
    if not 0 <= at <= last:
        raise UserError(f"cut: {cut} is past the end; this backbone can be cut at 0 to {last}, `input` or `head`")
    return at


def _drawing(spec: dict[str, Any]) -> tuple[str, str, str, int]:
    """Return what determines a backbone's stages."""
    return spec.get("library", "timm"), spec["architecture"], json.dumps(spec["options"]), spec["image_size"]


@lru_cache(maxsize=64)  # a plan holds graphs, no weights
def _planned(library: str, architecture: str, options: str, size: int) -> tuple[int, tuple[Plan, ...]]:
    """Return how many stages a backbone has, and their plans unless a function below lists them."""
    with torch.inference_mode(False):  # inference tensors do not count in-place writes
        backbone = blueprint(library, architecture, json.loads(options), size)
        known = _known(backbone)
        if known is not None:
            return len(known(backbone)), ()
        try:
            names = _begins(library, architecture, json.dumps(unfitted(json.loads(options))))
            planned = tuple(plan(backbone, size, names))
        except UntraceableError:
            return 1, ()
        return len(planned), planned


@lru_cache(maxsize=64)
def _begins(library: str, architecture: str, options: str) -> tuple[str, ...]:
    """Return where the stages of a backbone begin, for images of any size."""
    size = nominal(library, architecture)
    made = blueprint(library, architecture, fitted(library, architecture, json.loads(options), size), size)
    return tuple(begins(made, size))


def _efficientnet(backbone: Any) -> list[nn.Module]:
    blocks = list(backbone.blocks)
    first = nn.Sequential(backbone.conv_stem, backbone.bn1, blocks[0])
    last = nn.Sequential(blocks[-1], backbone.conv_head, backbone.bn2, backbone.global_pool)
    return [first, *blocks[1:-1], last]


def _resnet(backbone: Any) -> list[nn.Module]:
    first = nn.Sequential(backbone.conv1, backbone.bn1, backbone.act1, backbone.maxpool, backbone.layer1)
    last = nn.Sequential(backbone.layer4, backbone.global_pool)
    return [first, backbone.layer2, backbone.layer3, last]


_STAGES: dict[str, Callable[[Any], list[nn.Module]]] = {"EfficientNet": _efficientnet, "ResNet": _resnet}


def _known(backbone: Any) -> Callable[[Any], list[nn.Module]] | None:
    """Return the function that lists the stages of a timm family, for its plain members."""
    kind = type(backbone)
    plain = kind.__module__.startswith("timm.") and not getattr(backbone, "drop_rate", 0)
    return _STAGES.get(kind.__name__) if plain else None
