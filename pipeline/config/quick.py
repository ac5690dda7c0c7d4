"""The parameters of a first answer, derived from the user's: each strategy's default recipe alone, small and short."""

import math
from typing import Any, Final

from pipeline.config.constraints import Constraints
from pipeline.config.params import Params, Train
from pipeline.config.recipe import Recipe
from pipeline.config.strategies import Strategy

SIZE: Final = 128  # pixels a side, at most, where a strategy names no proxy
SHARE: Final = 4  # networks are trained for one in so many of their recipe's epochs,
FEWEST_EPOCHS: Final = 4  # but for so many at least
SEEDS: Final = 2
POINT: Final = 0.3  # the share of the images that the second point of the learning curves is nearest to


def quick(params: Params) -> Params:
    """Return the parameters of a first answer.

    A strategy's only recipe is its default one, trained by its proxy where it has one: the first trial of a whole
    run's search, whose result that run takes over. The first seed is the search's for the same reason. Controls,
    other backbones and constraints are left to the whole run.
    """
    arms = {name: row for name, row in params.arms.items() if name in params.enabled}
    rows = {name: _row(row) for name, row in arms.items()}
    compared = [name for name, row in rows.items() if row.full_recipe({}).kind is not None] or list(rows)
    return params.model_copy(
        update={
            "strategies": {name: rows[name] for name in compared},
            "enabled": tuple(compared),
            "backbones": (),
            "per_backbone": (),
            "train": _train(params),
            "constraints": Constraints(),
        }
    )


def _row(row: Strategy) -> Strategy:
    return Strategy.model_validate({"trials": 1, "recipe": _smaller(row) | row.proxy, "space": {}})


def _smaller(row: Strategy) -> dict[str, Any]:
    """Return the keys of a row's default recipe, smaller where it has no proxy that says what is."""
    keys = {**row.recipe, **row.default_values()}
    if row.proxy:
        return keys
    whole = Recipe(**keys)
    keys["image_size"] = min(whole.image_size, SIZE)
    if whole.cut != "head":  # heads are cheap
        keys["epochs"] = min(whole.epochs, max(FEWEST_EPOCHS, math.ceil(whole.epochs / SHARE)))
    return keys


def _train(params: Params) -> Train:
    train, first = params.train, params.search.seed
    others = [seed for seed in train.seeds if seed != first]
    smaller = sorted((f for f in train.fractions if f < 1), key=lambda f: (abs(f - POINT), f))
    return Train(
        seeds=(first, *others[: SEEDS - 1]),
        fractions=(*smaller[:1], 1.0),
        epoch_scaling=train.epoch_scaling,
        racing=False,
    )
