"""One network, cut in two: a stem that stays as it is, and a body that learns."""

from collections.abc import Callable
from typing import Any

from torch import nn

from pipeline.catalog import Backbone
from pipeline.errors import UserError
from pipeline.recipe import Recipe
from pipeline.serving import Network


def describe(
    recipe: Recipe, backbone: Backbone, classes: tuple[str, ...], size: int, channels: int, views: tuple[str, ...]
) -> dict[str, Any]:
    """Return the JSON-able spec from which `Network` is built, and rebuilt where it is served.

    `size` and `channels` are those of the packed images; the network scales them to the recipe's image_size.
    `views` are those over which predictions are averaged.
    """
    return {
        "architecture": backbone.architecture,
        "options": backbone.options,
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


def stages(network: Network) -> list[nn.Module]:
    """Return the network as the modules that one runs after another; the head is the last."""
    kind = type(network.backbone).__name__
    if kind not in _STAGES:
        raise UserError(f"no stage boundaries are known for {kind}; known: {', '.join(_STAGES)}")
    first, *rest = _STAGES[kind](network.backbone)
    return [nn.Sequential(network.preprocess, first), *rest, network.head]


def split(network: Network, cut: int | str) -> tuple[nn.Sequential, nn.Sequential]:
    """Cut a network into (stem, body) that share its modules: body(stem(x)) == network(x).

    `cut` is `input` or 0 (an empty stem), the number of the first stage of the body, or `head`. Raise UserError
    where the network has fewer stages.
    """
    modules, at = stages(network), place(network, cut)
    return nn.Sequential(*modules[:at]), nn.Sequential(*modules[at:])


def place(network: Network, cut: int | str) -> int:
    """Return how many stages come before a cut; raise UserError where the network has fewer."""
    last = len(stages(network)) - 1
    at = {"input": 0, "head": last}[cut] if isinstance(cut, str) else cut
    if not 0 <= at <= last:
        raise UserError(f"cut: {cut} is past the end; this backbone can be cut at 0 to {last}, `input` or `head`")
    return at


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
