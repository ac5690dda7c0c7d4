"""Which changes `benchmarks.arms` measures: for each strategy a baseline recipe, and changes of it, one at a time."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Arm:
    """A strategy's baseline recipe, and what is changed of it: a name and the values of the recipe's keys."""

    name: str  # a row of `strategies` in params.yaml
    baseline: dict[str, Any]
    changes: dict[str, dict[str, Any]]


SCRATCH = Arm(
    "scratch",
    {"backbone": "compact", "weights": "random", "cut": "input", "image_size": 96, "epochs": 20, "batch_size": 32,
     "learning_rate": 0.005, "weight_decay": 0.05},
    {
        "shift 0.1": {"shift": 0.1},
        "crop scale 0.5": {"crop_scale": 0.5},
        "rotation 10": {"rotation": 10.0},
        "color jitter 0.2": {"color_jitter": 0.2},
        "erasing 0.25": {"erasing": 0.25},
        "mixup 0.2": {"mixup": 0.2},
        "label smoothing 0.1": {"label_smoothing": 0.1},
        "ema 0.99": {"ema": 0.99},
        "gradient clip 1": {"gradient_clip": 1.0},
        "40 epochs": {"epochs": 40},
        "128 px": {"image_size": 128},
    },
)  # fmt: skip

ARMS = {arm.name: arm for arm in (SCRATCH,)}
