"""Workloads of networks whose costs are round numbers."""

from dataclasses import dataclass, field
from typing import Any

from pipeline.config.params import Train
from pipeline.config.recipe import Recipe
from pipeline.config.strategies import Search, Strategy
from pipeline.search.workload import Counts, Step, steps
from pipeline.training.image_costs import ImageCosts

ROW: dict[str, Any] = {
    "trials": 4,
    "recipe": {"backbone": "efficientnet_lite0", "weights": "pretrained", "cut": 5, "epochs": 8, "image_size": 64},
    "space": {"learning_rate": {"low": 0.1, "high": 0.2}},
}
SEARCH: dict[str, Any] = {"seed": 0, "trials_per_round": 2, "promote_fraction": 0.5, "startup_trials": 2}
COUNTS = Counts(train=100, valid=20, test=30, views=4, scored=2)


@dataclass(frozen=True)
class FakeSketch:
    cuts: tuple[int, ...]
    bytes_stored: dict[int, int] = field(default_factory=lambda: {5: 10, 7: 1})


def sketch(recipe: Recipe) -> FakeSketch:
    head = recipe.probe or recipe.cut == "head"
    return FakeSketch(() if recipe.cut == "input" else (7,) * head + (5,) * (recipe.cut != "head"))


def costs(recipe: Recipe) -> ImageCosts:
    """Pixels decide: 1 to train on an image of 64 pixels a side, a tenth of it to look at it."""
    size = (recipe.image_size / 64) ** 2
    return ImageCosts({5: 5 * size, 7: 7 * size}, size, size / 10, 0.001)


def work(
    row: dict[str, Any] | None = None, search: dict[str, Any] | None = None, known: set[Any] | None = None,
    seeds: tuple[int, ...] = (1, 2, 3, 4), fractions: tuple[float, ...] = (0.25, 1.0),
) -> list[Step]:  # fmt: skip
    train = Train(seeds=seeds, fractions=fractions, epoch_scaling=0.5)
    made, rules = Strategy(**{**ROW, **(row or {})}), Search(**{**SEARCH, **(search or {})})
    return steps(made, rules, train, COUNTS, sketch, costs, set() if known is None else known)
