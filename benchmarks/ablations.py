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
    {"backbone": "compact", "weights": "random", "cut": "input", "image_size": 64, "epochs": 40, "batch_size": 16,
     "learning_rate": 0.001, "weight_decay": 0.1},
    {
        "learning rate 0.0005": {"learning_rate": 0.0005},
        "learning rate 0.002": {"learning_rate": 0.002},
        "learning rate 0.005": {"learning_rate": 0.005},
        "weight decay 0.3": {"weight_decay": 0.3},
        "weight decay 1": {"weight_decay": 1.0},
        "weight decay 0.3, 60 epochs": {"weight_decay": 0.3, "epochs": 60},
        "weight decay 0.3, color jitter 0.2, erasing 0.25": {"weight_decay": 0.3, "color_jitter": 0.2, "erasing": 0.25},
        "weight decay 0.3, color jitter 0.2, erasing 0.25, 60 epochs":
            {"weight_decay": 0.3, "color_jitter": 0.2, "erasing": 0.25, "epochs": 60},
        "weight decay 0.3, color jitter 0.2, erasing 0.25, 96 px":
            {"weight_decay": 0.3, "color_jitter": 0.2, "erasing": 0.25, "image_size": 96},
        "weight decay 1, color jitter 0.2, erasing 0.25":
            {"weight_decay": 1.0, "color_jitter": 0.2, "erasing": 0.25},
        "weight decay 0.3, color jitter 0.2, erasing 0.25, shift 0.1, rotation 10":
            {"weight_decay": 0.3, "color_jitter": 0.2, "erasing": 0.25, "shift": 0.1, "rotation": 10.0},
        "weight decay 0.3, mixup 0.2": {"weight_decay": 0.3, "mixup": 0.2},
        "weight decay 0.3, ema 0.99": {"weight_decay": 0.3, "ema": 0.99},
        "weight decay 0.3, label smoothing 0.1": {"weight_decay": 0.3, "label_smoothing": 0.1},
        "60 epochs": {"epochs": 60},
        "mixup 0.2": {"mixup": 0.2},
        "color jitter 0.2, erasing 0.25": {"color_jitter": 0.2, "erasing": 0.25},
        "label smoothing 0.1": {"label_smoothing": 0.1},
        "ema 0.99": {"ema": 0.99},
        "gradient clip 1": {"gradient_clip": 1.0},
        "batch size 32": {"batch_size": 32},
        "96 px": {"image_size": 96},
        "shift 0.1, rotation 10": {"shift": 0.1, "rotation": 10.0},
        "regnetx_002, 24 epochs": {"backbone": "timm/regnetx_002", "epochs": 24},
    },
    adopted=("weight decay 0.3, color jitter 0.2, erasing 0.25",),
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
     "batchnorm": "keep", "head_rate": 0.1, "layer_decay": 0.7, "image_size": 224, "epochs": 6, "batch_size": 32,
     "learning_rate": 0.0008, "dropout": 0.2},
    {
        "cut 6": {"cut": 6},
        "4 epochs": {"epochs": 4},
        "9 epochs": {"epochs": 9},
        "100 steps": {"min_steps": 100},
        "200 steps": {"min_steps": 200},
        "400 steps": {"min_steps": 400},
        "192 px": {"image_size": 192},
        "128 px": {"image_size": 128},
        "ema 0.99": {"ema": 0.99},
        "mixup 0.2": {"mixup": 0.2},
        "head rate 1": {"head_rate": 1.0},
        "layer decay 1": {"layer_decay": 1.0},
        "batchnorm adapts": {"batchnorm": "adapt"},
        "label smoothing 0.1": {"label_smoothing": 0.1},
        "gradient clip 1": {"gradient_clip": 1.0},
        "a fresh head, batchnorm adapts": {"probe": False, "batchnorm": "adapt", "head_rate": 1.0},
        "the last stage alone": {"features": "last"},
        "cut 4": {"cut": 4},
    },
)  # fmt: skip

ARMS = {arm.name: arm for arm in (FROZEN, FINETUNE, SCRATCH)}
