"""Which changes `benchmarks.arms` measures: for each strategy a baseline recipe, and changes of it, one at a time."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Arm:
    """A strategy's baseline recipe, and what is changed of it: a name and the values of the recipe's keys."""

    name: str  # a row of `strategies` in params.yaml
    baseline: dict[str, Any]
    changes: dict[str, dict[str, Any]]
    adopted: tuple[str, ...] = ()  # names of changes that the row has taken over


SCRATCH = Arm(
    "scratch",
    {"backbone": "compact", "weights": "random", "cut": "input", "image_size": 96, "epochs": 20, "batch_size": 16,
     "learning_rate": 0.005, "weight_decay": 0.05},
    {
        "batch size 32": {"batch_size": 32},
        "32 epochs": {"epochs": 32},
        "64 px, 32 epochs": {"image_size": 64, "epochs": 32},
        "64 px, 40 epochs, mixup 0.2": {"image_size": 64, "epochs": 40, "mixup": 0.2},
        "64 px, 40 epochs, color jitter 0.2, erasing 0.25":
            {"image_size": 64, "epochs": 40, "color_jitter": 0.2, "erasing": 0.25},
        "128 px": {"image_size": 128},
        "shift 0.1, rotation 10": {"shift": 0.1, "rotation": 10.0},
        "shift 0.1, rotation 10, crop scale 0.5, 32 epochs":
            {"shift": 0.1, "rotation": 10.0, "crop_scale": 0.5, "epochs": 32},
        "color jitter 0.2, erasing 0.25": {"color_jitter": 0.2, "erasing": 0.25},
        "mixup 0.2": {"mixup": 0.2},
        "label smoothing 0.1": {"label_smoothing": 0.1},
        "weight decay 0.3": {"weight_decay": 0.3},
        "ema 0.99": {"ema": 0.99},
        "gradient clip 1": {"gradient_clip": 1.0},
        "regnetx_002 at 64 px, 24 epochs":
            {"backbone": "timm/regnetx_002", "image_size": 64, "epochs": 24, "learning_rate": 0.002},
    },
    adopted=("64 px, 40 epochs, color jitter 0.2, erasing 0.25",),
)  # fmt: skip

FROZEN = Arm(
    "frozen",
    {"backbone": "efficientnet_lite0", "weights": "pretrained", "cut": "head", "head": "logistic", "image_size": 128},
    {
        "all stages": {"features": "stages"},
        "224 px": {"image_size": 224},
        "224 px, all stages": {"image_size": 224, "features": "stages"},
        "224 px, all stages, mlp":
            {"image_size": 224, "features": "stages", "head": "mlp", "hidden": 128, "epochs": 30, "batch_size": 64,
             "learning_rate": 0.0005, "weight_decay": 10.0, "dropout": 0.25},
    },
    adopted=("224 px, all stages", "224 px, all stages, mlp"),
)  # fmt: skip

FINETUNE = Arm(
    "finetune",
    {"backbone": "efficientnet_lite0", "weights": "pretrained", "cut": 5, "features": "stages", "probe": True,
     "batchnorm": "keep", "head_rate": 0.1, "image_size": 128, "epochs": 6, "learning_rate": 0.001, "dropout": 0.2},
    {
        "head rate 1": {"head_rate": 1.0},
        "batchnorm adapts": {"batchnorm": "adapt"},
        "a fresh head, batchnorm adapts": {"probe": False, "batchnorm": "adapt", "head_rate": 1.0},
        "the last stage alone": {"features": "last"},
        "mixup 0.2": {"mixup": 0.2},
        "layer decay 0.7": {"layer_decay": 0.7},
        "ema 0.99": {"ema": 0.99},
        "gradient clip 1": {"gradient_clip": 1.0},
        "cut 4": {"cut": 4},
        "224 px": {"image_size": 224},
    },
    adopted=("224 px",),
)  # fmt: skip

ARMS = {arm.name: arm for arm in (FROZEN, FINETUNE, SCRATCH)}
