"""How good a configuration successive halving finds, and at what share of the epochs, on a full grid.

The grid is trained once and stored in results/grid.json; halving is then replayed on it in many orders.
"""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.demo import Demo
from pipeline.common.files import read_json, write_json
from pipeline.common.outcome import Cost, Epoch, Outcome
from pipeline.config.recipe import Recipe
from pipeline.config.strategies import Search, Strategy
from pipeline.search.halving import halve
from pipeline.search.trials import Rung

GRID = Path(__file__).parent / "results" / "grid.json"
ORDERS = 200
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
    """Replay halving on the stored grid, trained first where it is not there."""
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
    """Halve rounds of the grid's points in random orders."""
    losses, size = grid["log_loss"], row.round_size(search)
    epochs = len(losses[0])
    best = min(each[-1] for each in losses)
    regrets, spent = [], []
    for order in range(ORDERS):
        points = np.random.default_rng(order).permutation(len(losses)).tolist()
        chosen, trained = [], 0
        for first in range(0, len(points), size):
            outcomes, alive = halve(_numbered(row, epochs, points[first : first + size]), row, search,
                                    lambda rung: _look_up(rung, losses))  # fmt: skip
            chosen += [losses[n][-1] for n in alive]
            trained += sum(len(outcome.epochs) for outcome in outcomes.values())
        regrets.append(min(chosen) - best)
        spent.append(trained)
    error = grid["standard_error"]
    return {
        "configurations": len(losses),
        "epochs": epochs,
        "trials_per_round": size,
        "rungs": list(row.rungs),
        "share_of_epochs": max(spent) / (epochs * len(losses)),
        "best_log_loss": best,
        "standard_error": error,
        "mean_regret": float(np.mean(regrets)),
        "within_one_standard_error": float(np.mean(np.array(regrets) <= error)),
    }


def _numbered(row: Strategy, epochs: int, points: list[int]) -> dict[int, Recipe]:
    """Return a stand-in recipe for each point: halving asks it for the number of epochs alone."""
    fixed = {"backbone": "compact", "weights": "random", "cut": "input", "learning_rate": 0.1, "epochs": epochs}
    return dict.fromkeys(points, Recipe(**fixed))


def _look_up(rung: Rung, losses: list[list[float]]) -> dict[int, Outcome]:
    cost = Cost({}, 0, 0, 0, 0)
    return {n: Outcome([Epoch(k, 0.0, {"log_loss": loss}) for k, loss in enumerate(losses[n][: rung.until[n]], 1)],
                       cost) for n in rung.recipes}  # fmt: skip
