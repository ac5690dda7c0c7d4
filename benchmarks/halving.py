"""How good a configuration a row's search finds, and at what share of the epochs, on a full grid.

The grid is trained once and stored in results/grid.json; the search is then replayed on it with many seeds.
"""

import math
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from benchmarks.demo import Demo
from pipeline.common.files import read_json, write_json
from pipeline.common.outcome import Cost, Epoch, Outcome
from pipeline.config.recipe import Recipe
from pipeline.config.search_space import Dimension
from pipeline.config.strategies import Search, Strategy
from pipeline.search.study import tune
from pipeline.search.trials import COMPLETE, Rung

GRID = Path(__file__).parent / "results" / "grid.json"
SEEDS = 100
AXES: dict[str, dict[str, list[Any]]] = {
    "frozen": {
        "head": ["linear", "mlp"],
        "learning_rate": [1e-4, 3e-4, 1e-3, 3e-3],
        "weight_decay": [0.1, 1.0, 3.0, 10.0, 30.0],
        "dropout": [0.0, 0.2, 0.4, 0.6],
    },
    "scratch": {
        "learning_rate": [0.001, 0.002, 0.005, 0.01],
        "weight_decay": [0.01, 0.3],
        "color_jitter": [0.0, 0.05],
    },
}
FIXED: dict[str, dict[str, Any]] = {"frozen": {}, "scratch": {"backbone": "compact", "image_size": 64}}


def measure(demo: Demo) -> dict[str, Any]:
    """Replay the searches on the stored grid, trained first where it is not there."""
    grids = read_json(GRID) if GRID.exists() else {}
    for name in AXES:
        fixed = {**demo.row(name).recipe, **FIXED[name]}
        if (grids.get(name, {}).get("fixed"), grids.get(name, {}).get("axes")) != (fixed, AXES[name]):
            grids[name] = _train(demo, name, fixed)
            write_json(GRID, grids)
    found = {name: _replay(demo.row(name), demo.params.search, grid) for name, grid in grids.items()}
    return {"halving_epochs": max(each["share_of_epochs"] for each in found.values()), "grids": found}


def _train(demo: Demo, name: str, fixed: dict[str, Any]) -> dict[str, Any]:
    """Train every point of a grid to the end."""
    recipes = {n: Recipe(**{**fixed, **dict(zip(AXES[name], values))})
               for n, values in enumerate(product(*AXES[name].values()))}  # fmt: skip
    outcomes = demo.train(recipes, title=f"grid of {name}")
    losses = [[epoch.valid["log_loss"] for epoch in outcomes[n].epochs] for n in recipes]
    best = min(recipes, key=lambda n: losses[n][-1])
    return {
        "fixed": fixed,
        "axes": AXES[name],
        "log_loss": losses,
        "standard_error": demo.standard_error(recipes[best]),
    }


def _replay(row: Strategy, search: Search, grid: dict[str, Any]) -> dict[str, Any]:
    """Run the row's own search with many seeds: its rounds, TPE and rungs, each proposal moved to the nearest point."""
    losses, axes = grid["log_loss"], grid["axes"]
    points = list(product(*axes.values()))
    epochs, best = len(losses[0]), min(each[-1] for each in losses)
    unlimited = search.model_copy(update={"budget": None})
    own = Strategy(**{**dict(row), "recipe": grid["fixed"], "space": {key: row.space[key] for key in axes},
                      "budget": None, "proxy": {}, "confirm": None})  # fmt: skip
    regrets, spent = [], []
    for seed in range(SEEDS):
        study = optuna.create_study()
        seeded = unlimited.model_copy(update={"seed": seed})
        tried = [t for finished in tune(own, seeded, study, lambda rung: _look_up(rung, own, axes, points, losses))
                 for t in finished]  # fmt: skip
        regrets.append(min(t.value for t in tried if t.state == COMPLETE) - best)
        spent.append(sum(len(t.outcome.epochs) for t in tried))
    error = grid["standard_error"]
    return {
        "configurations": len(losses),
        "epochs": epochs,
        "trials": own.trials,
        "rounds": [len(numbers) for numbers in own.rounds(search)],
        "rungs": list(own.rungs),
        "share_of_epochs": max(spent) / (epochs * own.trials),
        "best_log_loss": best,
        "standard_error": error,
        "mean_regret": float(np.mean(regrets)),
        "within_one_standard_error": float(np.mean(np.array(regrets) <= error)),
    }


def _nearest(recipe: Recipe, row: Strategy, axes: dict[str, list[Any]], points: list[tuple[Any, ...]]) -> int:
    """Return the number of the point nearest to a recipe, each axis measured from 0 to 1 on its own scale."""

    def distance(point: tuple[Any, ...]) -> float:
        return sum(_apart(row.space[key], getattr(recipe, key), value) ** 2 for key, value in zip(axes, point))

    return min(range(len(points)), key=lambda n: distance(points[n]))


def _apart(axis: Dimension, one: Any, other: Any) -> float:
    if axis.choices:
        return float(one != other)
    low, high = axis.ends()
    scale = math.log if axis.log else float
    return (scale(one) - scale(other)) / (scale(high) - scale(low))


def _look_up(
    rung: Rung, row: Strategy, axes: dict[str, list[Any]], points: list[tuple[Any, ...]], losses: list[list[float]]
) -> dict[int, Outcome]:
    cost, found = Cost({}, 0, 0, 0, 0), {}
    for number, recipe in rung.recipes.items():
        curve = losses[_nearest(recipe, row, axes, points)][: rung.until[number]]
        found[number] = Outcome([Epoch(k, 0.0, {"log_loss": loss}) for k, loss in enumerate(curve, 1)], cost)
    return found
