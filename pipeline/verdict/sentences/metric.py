"""Why a metric decides, in a sentence."""

from collections.abc import Mapping

from pipeline.config.metric_names import IMBALANCE


def metric_sentence(metric: str, counts: Mapping[str, int]) -> str:
    """Say why a metric was chosen, by the training images of each class."""
    most, least = (end(counts, key=lambda name: (counts[name], name)) for end in (max, min))
    held = f"the commonest class ({most}: {counts[most]:,} training images) has"
    against = f"as many as the rarest ({least}: {counts[least]:,})"
    if metric == "balanced_accuracy":
        return f"{held} {IMBALANCE} times {against}, or more"
    return f"{held} less than {IMBALANCE} times {against}"
