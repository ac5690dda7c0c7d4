"""A first answer's trainings as what stages tune and train would have written, scored on validation in place of test.

Each seed has its own validation images. The recipe was not chosen on them, but for the penalty of a logistic head.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.common.errors import UserError
from pipeline.common.outcome import Outcome
from pipeline.config.recipe import Recipe
from pipeline.data.image_set import ImageSet
from pipeline.search import trials
from pipeline.search.trials import COMPLETE, FinishedTrial
from pipeline.statistics.stored_results import Measured, TrainResult, TuneResult, predictions
from pipeline.training import results
from pipeline.training.results import Trained


def measured(
    trained: Mapping[str, Trained], recipes: Mapping[str, Recipe], sizes: Mapping[str, int], dev: ImageSet, goal: str
) -> Measured:
    """Return the outcomes of some strategies' units, with their predictions on validation, as a comparison takes them.

    `sizes` are the bytes of a model, and `goal` is what a search minimises. A seed that diverged with one strategy is
    left out of all, so that all are compared on the same images; raise UserError where none is left.
    """
    lost = {seed: (name, outcome.failed) for name, by_fraction in trained.items()
            for by_seed in by_fraction.values() for seed, outcome in by_seed.items() if outcome.failed}  # fmt: skip
    kept = {name: _without(by_fraction, lost) for name, by_fraction in trained.items()}
    if lost and not all(by_fraction[1.0] for by_fraction in kept.values()):
        name, why = next(iter(lost.values()))
        raise UserError(f"{name}: {why}; no seed is left to compare. Lower the default of its learning_rate.")
    tuned = {name: _first_trial(name, recipes[name], kept[name][1.0], goal) for name in trained}
    found, predicted, tested = {}, {}, {}
    for name, by_fraction in kept.items():
        scores, points = results.summarise(by_fraction[1.0], dev, dev), results.curve(by_fraction, dev, dev)
        document = results.document(scores, by_fraction, points, tuned[name].model_dump(), sizes[name], None,
                                    _diverged(trained[name]))  # fmt: skip
        found[name] = TrainResult.model_validate(document)
        table = results.predictions(by_fraction, dev, dev)
        predicted[name] = predictions(found[name], table)
        tested[name] = table[(table["split"] == "test") & (table["fraction"] == 1)]
    return Measured(found, tuned, predicted, tested, trials={}, timings={})


def counts(outcome: Outcome, dev: ImageSet) -> dict[str, int]:
    """Return the validation images that an outcome was scored on, by class."""
    found = np.bincount(dev.labels[np.asarray(outcome.valid["rows"])], minlength=len(dev.classes))
    return dict(zip(dev.classes, found.tolist(), strict=True))


def _without(trained: Trained, lost: Mapping[int, object]) -> dict[float, dict[int, Outcome]]:
    """Return the trainings of the other seeds, their predictions on validation in place of those on test."""
    return {
        fraction: {seed: replace(outcome, test=outcome.valid) for seed, outcome in by_seed.items() if seed not in lost}
        for fraction, by_seed in trained.items()
    }


def _diverged(trained: Trained) -> list[dict[str, Any]]:
    """Return seed, fraction and reason of each training whose loss was no longer finite."""
    return [
        {"seed": seed, "fraction": fraction, "reason": outcome.failed}
        for fraction, by_seed in trained.items()
        for seed, outcome in by_seed.items()
        if outcome.failed
    ]


def _first_trial(name: str, recipe: Recipe, trained: Mapping[int, Outcome], goal: str) -> TuneResult:
    """Return what a search of the default recipe alone would have written."""
    trial = FinishedTrial(0, COMPLETE, recipe, {}, next(iter(trained.values())), goal)
    return TuneResult.model_validate(trials.document([trial], name, 1, None))
