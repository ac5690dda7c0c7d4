"""Strategies that claims are about: one row of each kind, and comparisons with several of a kind."""

from tests.support.example import comparison

FROZEN = {"train_flops": 2e12}
FINETUNE = {"cut": 5, "train_flops": 4e12}
SCRATCH = {"weights": "random", "cut": "input", "train_flops": 5e12}
COMPACT = SCRATCH | {"backbone": "compact", "predict_flops": 2e8, "model_bytes": 1.3e6}


# Several of a kind: x and y are other backbones than the rows' own
SEVERAL = {
    "frozen": FROZEN | {"accuracy": 0.86},
    "frozen-x": FROZEN | {"accuracy": 0.80, "backbone": "x"},
    "frozen-y": FROZEN | {"accuracy": 0.90, "backbone": "y"},
    "finetune": FINETUNE | {"accuracy": 0.87},
    "finetune-x": FINETUNE | {"accuracy": 0.88, "backbone": "x"},
    "scratch": SCRATCH | {"accuracy": 0.81},
    "scratch-x": COMPACT | {"accuracy": 0.79, "backbone": "x", "image_size": 128},
}


def without(*names, **changes):
    return comparison({name: row for name, row in (SEVERAL | changes).items() if name not in names})
