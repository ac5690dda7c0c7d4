"""What a first answer says of itself: what it rests on, what it cannot say, and what going on may bring."""

from collections.abc import Mapping

from pipeline.config.recipe import Recipe
from pipeline.statistics.schema import Comparison
from pipeline.verdict.formatting import called, duration, little
from pipeline.verdict.rule import belief


def first_answer(
    comparison: Comparison, whole: Mapping[str, Recipe], cpu_seconds: float, to_come: float, command: str
) -> list[str]:
    """Return the sentences; `whole` are the recipes of a whole run, and `to_come` the CPU-seconds that it takes."""
    images, seeds = sum(comparison.scored.values()), comparison.seeds
    return [
        f"This is a first answer, after {duration(cpu_seconds)} of processor time. Each strategy was trained with its "
        f"default recipe alone; none was searched.{_shorter(comparison, whole)}",
        f"It is decided on validation images, {images:,} for {_seeds(seeds)}, on which the penalty of a head that is "
        "fitted in one go was chosen too: such scores are slightly too high. The test split stays unopened. With so "
        "few images and seeds the intervals are wide.",
        _gain(comparison),
        f"To go on: {command}. It takes about {duration(to_come)} of processor time at most, as the operations of "
        "these trainings and their speed here tell, and takes over their features, and those trainings that it would "
        "do itself.",
    ]


def _seeds(count: int) -> str:
    return "the only seed" if count == 1 else f"each of {count} seeds"


def _shorter(comparison: Comparison, whole: Mapping[str, Recipe]) -> str:
    """Say which recipes are smaller or shorter than those of a whole run."""
    parts = []
    for name, strategy in comparison.strategies.items():
        used, full = strategy.recipe, whole[name]
        less = [f"{b} instead of {a}" for a, b, differ in (
            (f"{full.image_size} px", f"{used.image_size} px", full.image_size != used.image_size),
            (f"{full.epochs} epochs", f"{used.epochs} epochs", full.epochs != used.epochs)) if differ]  # fmt: skip
        if less:
            parts.append(f"{name} with {' and '.join(less)}")
    return f" To be quick, {'; '.join(parts)}." if parts else ""


def _gain(comparison: Comparison) -> str:
    believed = belief(comparison)
    own, metric = believed.recommended, comparison.metric
    loss = little(believed.losses[own], metric)
    return (
        f"Expected gain of going on: {own} is expected to lose {loss} of {called(metric)} against the best of these, "
        "which more images and seeds would save. What a search, larger images and longer training add to each "
        "strategy comes on top, and may change their order: it is not known yet."
    )
