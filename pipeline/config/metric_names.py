"""The names of the metrics, and which of them decides."""

from collections.abc import Mapping

METRICS = ("accuracy", "balanced_accuracy", "roc_auc", "log_loss")
LOWER_IS_BETTER = frozenset({"log_loss"})
IMBALANCE = 10  # times the images of the rarest class in the commonest, from which accuracy says little of the rarest


def settled(wanted: str, counts: Mapping[str, int]) -> tuple[str, str]:
    """Return the metric that decides, and why where it was to be chosen: `auto`, by the training images of each class.

    It is accuracy, or balanced accuracy where one class has `IMBALANCE` times the images of another.
    """
    if wanted != "auto":
        return wanted, ""
    most, least = (end(counts, key=lambda name: (counts[name], name)) for end in (max, min))
    held = f"the commonest class ({most}: {counts[most]:,} training images) has"
    against = f"as many as the rarest ({least}: {counts[least]:,})"
    if counts[most] >= IMBALANCE * counts[least]:
        return "balanced_accuracy", f"{held} {IMBALANCE} times {against}, or more"
    return "accuracy", f"{held} less than {IMBALANCE} times {against}"
