"""What one image costs under a recipe, by what is done with it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ImageCosts:
    """What one image costs: in FLOPs, in bytes moved, or in seconds of one process."""

    passes: Mapping[int, float]  # of a feature pass over one view, by the number of stages that it runs
    trained: float  # forward, backward and update of what is trained
    looked: float  # forward of what is trained, over one view
    fitted: float  # one iteration of a logistic regression, over one view


def scaled(costs: ImageCosts, factor: float) -> ImageCosts:
    """Return costs times a factor."""
    passes = {at: factor * each for at, each in costs.passes.items()}
    return ImageCosts(passes, factor * costs.trained, factor * costs.looked, factor * costs.fitted)


def larger(one: ImageCosts, other: ImageCosts) -> ImageCosts:
    """Return whichever is larger, cost by cost: with what limits them, operations or memory, in seconds."""
    return ImageCosts({at: max(each, other.passes[at]) for at, each in one.passes.items()},
                      max(one.trained, other.trained), max(one.looked, other.looked),
                      max(one.fitted, other.fitted))  # fmt: skip
