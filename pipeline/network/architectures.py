"""Architectures without weights: which options set the image size, and which sizes they accept."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import timm
import torch
from torch import nn

from pipeline.common.errors import UserError
from pipeline.inference.network import make_backbone

OF_SIZE = ("img_size", "image_size", "input_size")  # options that set the size of images
Made = TypeVar("Made")
SIZES = (32, 48, 64, 75, 80, 96, 112, 128, 160, 192, 224, 240, 256, 288, 299, 320, 384, 448, 512)


def fitted(library: str, architecture: str, options: dict[str, Any], size: int) -> dict[str, Any]:
    """Add the image size to the options where the architecture is made for a fixed size."""
    if library == "timm":
        config = timm.models.get_pretrained_cfg(architecture)
        own = {"img_size": size} if config is not None and config.fixed_input_size else {}
        own = {} if options.get("dynamic_img_size") else own
        return {**own, **options}
    if architecture.startswith("vit_"):
        return {"image_size": size, **options}
    return {**({"input_size": [size, size]} if architecture.startswith("maxvit") else {}), **options}


def unfitted(options: dict[str, Any]) -> dict[str, Any]:
    """Remove the image size from the options."""
    return {key: value for key, value in options.items() if key not in OF_SIZE}


def nominal(library: str, architecture: str) -> int:
    """Return the image size that an architecture was designed for, in pixels."""
    if library == "timm":
        config = timm.models.get_pretrained_cfg(architecture)
        return int(config.input_size[-1]) if config is not None else 224
    return 299 if architecture == "inception_v3" else 224


def blueprint(library: str, architecture: str, options: dict[str, Any], size: int) -> nn.Module:
    """Build a backbone for images of `size` pixels on the meta device, in eval mode.

    Raise UserError, naming sizes that work, where it cannot be built, does not accept that size, or does not return
    pooled features.
    """
    try:
        return _tried(library, architecture, options, size)
    except Exception as error:  # any error of the library's
        why = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
    plain = unfitted(options)
    others = list(_working(library, architecture, plain, size))
    if not others:
        raise UserError(f"backbone {library}/{architecture} with options {plain} cannot be used: {why}")
    raise UserError(
        f"image_size: backbone {library}/{architecture} cannot take images of {size} pixels ({why}); "
        f"sizes that work: {', '.join(map(str, sorted(others)))}"
    )


def _working(library: str, architecture: str, options: dict[str, Any], size: int) -> Iterator[int]:
    """Yield up to two sizes that work, close to one that does not."""
    found = 0
    for other in sorted({*SIZES, nominal(library, architecture)} - {size}, key=lambda each: abs(each - size)):
        try:
            _tried(library, architecture, fitted(library, architecture, options, other), other)
        except Exception:
            continue
        yield other
        found += 1
        if found == 2:
            return


def _tried(library: str, architecture: str, options: dict[str, Any], size: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):  # some architectures draw random numbers while they are built
        backbone, features = on_meta(lambda: make_backbone(library, architecture, options))
        backbone = backbone.to("meta").eval()
    with torch.no_grad():
        given = backbone(torch.empty(2, 3, size, size, device="meta"))
    if not isinstance(given, torch.Tensor) or given.shape != (2, features):
        what = tuple(given.shape[1:]) if isinstance(given, torch.Tensor) else type(given).__name__
        raise ValueError(f"it returns {what} for an image, not {features} pooled features")
    return backbone


def on_meta(make: Callable[[], Made]) -> Made:
    """Build modules on the meta device, or on the CPU where they can be built only there."""
    try:
        with torch.device("meta"):
            return make()
    except NotImplementedError:  # it computes with tensors while it is built, as torchvision's RegNet does
        return make()
