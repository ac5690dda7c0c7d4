"""Sentences on trainings that were left out, or that diverged."""

from collections.abc import Iterator

from pipeline.statistics.schema import Comparison
from pipeline.verdict.formatting import gap


def race_notes(comparison: Comparison) -> list[str]:
    """Say which strategies were stopped early and why, what that leaves wider, and which trainings diverged."""
    return [*_stopped(comparison), *_diverged(comparison)]


def _stopped(comparison: Comparison) -> Iterator[str]:
    strategies, metric = comparison.strategies, comparison.metric
    stopped = {name: found.stopped for name, found in strategies.items() if found.stopped is not None}
    for name, why in stopped.items():
        yield (
            f"{name} was stopped early: after {why.seeds} seeds it was {gap(why.gap, metric)} behind {why.behind} on "
            f"validation, and the probability that it is within {gap(comparison.worth, metric)} of it was "
            f"{_probability(why.p_within)}. It has {_trainings(comparison, name)}, so its intervals are wider."
        )
    left = [name for name in strategies if name not in stopped]
    if stopped and len(left) == 1:
        yield f"{left[0]} was then the only one left, so it has {_trainings(comparison, left[0])}."


def _trainings(comparison: Comparison, name: str) -> str:
    found = comparison.strategies[name]
    return f"{len(found.test[comparison.metric].per_seed)} seeds and {len(found.curve)} sizes"


def _probability(p: float) -> str:
    return "below 0.001" if p < 0.001 else f"{p:.3f}"


def _diverged(comparison: Comparison) -> Iterator[str]:
    for name, found in comparison.strategies.items():
        for each in found.diverged:
            share = "" if each.fraction == 1 else f" on {100 * each.fraction:g} % of the images"
            yield f"{name}: the training with seed {each.seed}{share} is left out, because {each.reason}."
