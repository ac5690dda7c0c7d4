"""Recipes of the three kinds: all is trained, the head alone, the last stages; and a context to train them in."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.features import Features
from pipeline.config.params import Runtime
from pipeline.config.recipe import Recipe
from pipeline.data.image_set import ImageSet
from pipeline.training.run_context import RunContext, make_run_context

SCRATCH = {"backbone": "compact", "weights": "random", "cut": "input", "shift": 0.1, "rotation": 10.0, "dropout": 0.2,
           "ema": 0.9}  # fmt: skip
FROZEN = {"backbone": "compact", "weights": "random", "cut": "head", "head": "mlp", "hidden": 8, "dropout": 0.2}
PARTIAL = {"backbone": "compact", "weights": "random", "cut": 3, "probe": True, "batchnorm": "keep", "layer_decay": 0.7,
           "mixup": 0.2, "min_steps": 40}  # fmt: skip
KINDS = {"scratch": SCRATCH, "frozen": FROZEN, "partial": PARTIAL}
every_kind = pytest.mark.parametrize("kind", KINDS)


def recipe(kind: str = "scratch", **wanted: Any) -> Recipe:
    plain = {"image_size": 32, "epochs": 3, "batch_size": 8, "learning_rate": 0.003}
    return Recipe(**{**plain, **KINDS[kind], **wanted})


def make_context(images: ImageSet, work: Path, tta: bool = True, **wanted: Any) -> RunContext:
    features = Features(views=("identity", "hflip"), tta=tta)
    return replace(make_run_context(images, 0.2, features, work, Runtime(threads=1, device="cpu")), **wanted)
