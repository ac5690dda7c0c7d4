"""The names of the metrics, which of them decides, and what a search minimises."""

from collections.abc import Mapping
from typing import Literal, get_args

Metric = Literal["accuracy", "balanced_accuracy", "roc_auc", "log_loss"]
METRICS: tuple[str, ...] = get_args(Metric)
LOWER_IS_BETTER = frozenset({"log_loss"})
LOG_LOSS, BALANCED_LOG_LOSS = "log_loss", "balanced_log_loss"  # the latter: each class has the same say
IMBALANCE = 10  # times the images of the rarest class in the commonest, from which accuracy says little of the rarest


def resolve_metric(wanted: str, counts: Mapping[str, int]) -> str:
    """Return the metric that decides; where `auto` is wanted, by the training images of each class.

    It is accuracy, or balanced accuracy where one class has `IMBALANCE` times the images of another.
    """
    if wanted != "auto":
        return wanted
    return "balanced_accuracy" if max(counts.values()) >= IMBALANCE * min(counts.values()) else "accuracy"


def objective(metric: str) -> str:
    """Return the validation score that a search minimises where this metric decides.

    A log loss says more of few images than a share of right answers does; with balanced accuracy it is balanced too.
    """
    return BALANCED_LOG_LOSS if metric == "balanced_accuracy" else LOG_LOSS
