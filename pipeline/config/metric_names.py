"""The names of the metrics, and which of them decides."""

from collections.abc import Mapping
from typing import Literal, get_args

Metric = Literal["accuracy", "balanced_accuracy", "roc_auc", "log_loss"]
METRICS: tuple[str, ...] = get_args(Metric)
LOWER_IS_BETTER = frozenset({"log_loss"})
IMBALANCE = 10  # times the images of the rarest class in the commonest, from which accuracy says little of the rarest


def resolve_metric(wanted: str, counts: Mapping[str, int]) -> str:
    """Return the metric that decides; where `auto` is wanted, by the training images of each class.

    It is accuracy, or balanced accuracy where one class has `IMBALANCE` times the images of another.
    """
    if wanted != "auto":
        return wanted
    return "balanced_accuracy" if max(counts.values()) >= IMBALANCE * min(counts.values()) else "accuracy"
