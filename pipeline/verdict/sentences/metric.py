"""Why strategies are ranked by a metric, in a sentence."""

from collections.abc import Mapping

from pipeline.config.metric_names import IMBALANCE


def metric_sentence(metric: str, counts: Mapping[str, int]) -> str:
    """Say why a metric was chosen, by the training images of each class; without a full stop."""
    most, least = (end(counts, key=lambda name: (counts[name], name)) for end in (max, min))
    largest, smallest = f"{most}: {counts[most]:,} training images", f"{least}: {counts[least]:,}"
    if metric == "balanced_accuracy":
        return f"the largest class ({largest}) has at least {IMBALANCE} times as many as the smallest ({smallest})"
    return f"the largest class ({largest}) has less than {IMBALANCE} times as many as the smallest ({smallest})"
