import math

import numpy as np
import pytest
from scipy.stats import qmc

from pipeline.common.outcome import Cost, Epoch, Outcome
from pipeline.config.params import load
from pipeline.config.search_space import Dimension
from pipeline.search import proposals, study
from pipeline.search.proposals import first_round, next_round
from pipeline.search.trials import FinishedTrial
from tests.support.imports import ROOT
from tests.support.searching import ROW, SEARCH, diverge_if, evaluate, tune

COST = Cost({}, fit_flops=1, predict_flops=1, parameters=1, trainable_parameters=1)
SHIPPED = load(ROOT / "params.yaml")


def test_the_first_trial_has_the_default_recipe(fresh):
    space = ROW.space | {
        "dropout": Dimension(low=0, high=0.6, default=0.1), "head": Dimension(choices=("linear", "mlp"), default="mlp")
    }  # fmt: skip
    row = ROW.model_copy(update={"space": space})
    tried = tune(row, SEARCH, fresh(), evaluate)
    assert tried[0].space == {"batch_size": 33, "dropout": 0.1, "head": "mlp", "learning_rate": pytest.approx(0.01)}
    assert tried[0].recipe == row.full_recipe(row.default_values())


def test_the_first_round_fills_the_space_more_evenly_than_chance():
    points = first_round(ROW, 0, 17)[1:]
    shares = np.array([[math.log10(p["learning_rate"]) / 4 + 1, p["dropout"] / 0.6, (p["batch_size"] - 2) / 62]
                       for p in points])  # fmt: skip
    assert ((shares >= 0) & (shares <= 1)).all()
    chance = [qmc.discrepancy(np.random.default_rng(seed).random(shares.shape)) for seed in range(20)]
    assert qmc.discrepancy(shares) < min(chance)
    assert sum(p["head"] == "mlp" for p in points) == 8
    assert all(type(p["batch_size"]) is int for p in points)


def test_a_longer_first_round_begins_with_a_shorter_one_and_another_seed_gives_other_points():
    assert first_round(ROW, 0, 33)[:6] == first_round(ROW, 0, 6)
    assert first_round(ROW, 0, 6)[0] == first_round(ROW, 1, 6)[0]
    assert first_round(ROW, 0, 6)[1:] != first_round(ROW, 1, 6)[1:]


def test_a_space_without_an_axis_has_one_recipe():
    assert first_round(ROW.model_copy(update={"space": {}}), 0, 3) == [{}, {}, {}]


@pytest.mark.parametrize("name", SHIPPED.strategies)
def test_in_every_shipped_strategy_tpe_proposes_every_round_after_the_first_and_half_of_the_trials(name, monkeypatch):
    row, asked = SHIPPED.strategies[name], []
    inner = proposals.optuna.samplers.TPESampler._sample  # where it draws from its model, not at random

    def listen(self, *arguments, **named):
        asked.append(self)
        return inner(self, *arguments, **named)

    monkeypatch.setattr(proposals.optuna.samplers.TPESampler, "_sample", listen)
    first, *later = row.rounds(SHIPPED.search)
    assert later
    assert sum(map(len, later)) >= row.trials // 2
    opened = study.optuna.create_study()
    for numbers in (first, *later):
        before = len(asked)
        values = study._values_of_round(opened, row, SHIPPED.search, numbers)
        assert len({id(sampler) for sampler in asked[before:]}) == (0 if numbers is first else len(numbers))
        recipes = {n: row.proxy_recipe(v) for n, v in zip(numbers, values)}
        study._record_round(opened, [FinishedTrial(n, "COMPLETE" if n == numbers[0] else "PRUNED", r, v,
                                                   evaluate(n, r, 2)) for (n, r), v in zip(recipes.items(), values)],
                            row)  # fmt: skip


def pruned(losses):
    """Return trials of the first round as Optuna keeps them, all pruned at epoch 2 with these losses."""
    opened = study.optuna.create_study()
    made = [FinishedTrial(n, "PRUNED", ROW.full_recipe(values), values,
                          Outcome([Epoch(k, 0.0, {"log_loss": loss + 2 - k}) for k in (1, 2)], COST))
            for n, (loss, values) in enumerate(zip(losses, first_round(ROW, 0, len(losses))))]  # fmt: skip
    study._record_round(opened, made, ROW)
    return opened.get_trials()


def test_tpe_learns_from_the_losses_and_the_places_of_pruned_trials():
    losses = [0.1 * n for n in range(12)]
    found = {
        name: next_round(known, ROW, 0, range(12, 16))
        for name, known in {
            "as they are": pruned(losses),
            "the best and the worst change places": pruned([losses[-1], *losses[1:-1], losses[0]]),
            "one of the middle is not there": [t for t in pruned(losses) if t.number != 6],
        }.items()
    }
    assert len({str(values) for values in found.values()}) == 3


def test_tpe_prefers_no_trial_for_having_failed_late(fresh):
    """A trial that diverged after the rung at which others were pruned is among the worst that TPE knows."""
    opened = fresh()
    tune(ROW, SEARCH, opened, diverge_if(lambda recipe: recipe.head == "mlp"))
    failed = [t for t in opened.get_trials() if "failed" in t.user_attrs]
    assert failed
    assert all(t.intermediate_values == {} and t.value is None for t in failed)


def test_tpe_comes_nearer_to_the_best_than_quasi_random_points_alone(fresh):
    row = ROW.model_copy(update={"trials": 40, "rungs": ()})
    found = [min(t.value for t in tune(row, SEARCH.model_copy(update={"startup_trials": startup}), fresh(), evaluate))
             for startup in (6, 20)]  # fmt: skip
    only = min(evaluate(0, row.full_recipe(values), 6).epochs[-1].valid["log_loss"]
               for values in first_round(row, 0, 40))  # fmt: skip
    assert max(found) < only
