"""What a search and the retrainings after it will cost, from one training of a recipe that was measured."""

from dataclasses import dataclass

from pipeline.config.params import Train
from pipeline.config.recipe import Recipe
from pipeline.config.strategies import Search, Strategy
from pipeline.execution.rounds import whole_retrainings
from pipeline.search.halving import size_of, whole_trainings


@dataclass(frozen=True)
class MeasuredTraining:
    """What one training of a recipe took on all training images, in CPU-seconds of this machine."""

    recipe: Recipe
    seconds: float  # features aside
    pass_seconds: float  # of the feature passes that it needs, whoever ran them


@dataclass(frozen=True)
class Forecast:
    """CPU-seconds that the stages of a strategy will take at most, if none of its features is cached."""

    tune: float
    train: float  # the race included


def forecast(row: Strategy, search: Search, train: Train, measured: MeasuredTraining) -> Forecast:
    """Return the forecast: cost grows with epochs and pixels, and a search's with its trials, up to its budget.

    Pruning is counted as `whole_trainings` does. Recipes other than the default one are taken to cost the same.
    """
    values = row.default_values()
    whole, small = row.full_recipe(values), row.proxy_recipe(values)
    one, trial = (measured.seconds * size_of(recipe, measured.recipe) for recipe in (whole, small))
    passes = {r.image_size: measured.pass_seconds * (r.image_size / measured.recipe.image_size) ** 2
              for r in (whole, small)}  # fmt: skip
    most = row.budget_in_trainings(search)
    searched = trial * whole_trainings(row, search)
    if most is not None:
        searched = min(searched, most * (one + passes[whole.image_size]))
    return Forecast(searched + sum(passes.values()), one * whole_retrainings(whole, train))
