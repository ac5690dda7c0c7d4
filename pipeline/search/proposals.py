"""Which values are tried: the default and quasi-random points in the first round, then what TPE proposes.

Each trial of a later round comes from a sampler that is seeded by the trial's number and has seen the results of
earlier rounds only. So proposals depend neither on how many processes trained the trials nor on interruptions.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial
from scipy.stats import qmc

from pipeline.common.seeding import derive
from pipeline.config.strategies import Strategy, is_whole

Values = dict[str, Any]  # of the keys that are searched


def first_round(row: Strategy, seed: int, count: int) -> list[Values]:
    """Return the default values, then points of a scrambled Sobol sequence (Owen 1998), which fill the space evenly."""
    keys = sorted(row.space)  # in one order however the space is written: to DVC, order changes nothing
    found = [{key: row.default_values()[key] for key in keys}]
    if count > 1 and keys:
        sobol = qmc.Sobol(len(keys), scramble=True, rng=derive("sobol", seed))
        points = sobol.random_base2((count - 1).bit_length())[: count - 1]
        found += [
            {key: row.value(key, row.space[key].at(float(share))) for key, share in zip(keys, point)}
            for point in points
        ]
    return (found * count)[:count]


def next_round(known: Sequence[FrozenTrial], row: Strategy, seed: int, numbers: range) -> list[Values]:
    """Return what TPE (Bergstra et al. 2011) proposes for these trials, knowing those before them.

    It proposes on a copy in memory, so that the study never holds an unfinished trial. Of pruned trials it uses the
    loss at which they were pruned. Trials of one round keep away from each other (constant liar).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        copy = optuna.create_study()
        copy.add_trials(known)
        found = []
        for number in numbers:
            copy.sampler = optuna.samplers.TPESampler(seed=derive("trial", seed, number), n_startup_trials=1)
            found.append(copy.ask(distributions(row)).params)
    return found


def distributions(row: Strategy) -> dict[str, BaseDistribution]:
    """Return a row's space as Optuna describes it."""
    return {key: _distribution(row, key) for key in sorted(row.space)}


def _distribution(row: Strategy, key: str) -> BaseDistribution:
    axis = row.space[key]
    if axis.choices:
        return CategoricalDistribution(axis.choices)
    low, high = axis.ends()
    if is_whole(key):
        return IntDistribution(int(low), int(high), log=axis.log)
    return FloatDistribution(low, high, log=axis.log)
