"""Small trainings: vectors by view and row, and a body of a few layers."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from pipeline.config.recipe import Recipe
from pipeline.training.loop import Fit, predict
from pipeline.training.samples import Samples

CPU = torch.device("cpu")
PLAIN = {"backbone": "compact", "weights": "random", "cut": "input", "epochs": 4, "batch_size": 4}


class Table:
    """Vectors by view and row, which remember what was taken."""

    def __init__(self, count: int = 12, views: int = 2, features: int = 3) -> None:
        self.values = np.random.default_rng(0).normal(size=(views, count, features)).astype(np.float32)
        self.views, self.taken = views, list[tuple[int, int]]()

    def take(self, rows: np.ndarray, views: np.ndarray) -> torch.Tensor:
        self.taken += zip(rows.tolist(), views.tolist())
        return torch.from_numpy(self.values[views, rows])


def samples(count: int = 12, views: int = 2) -> Samples:
    return Samples(Table(count, views), np.arange(count) % 2, np.arange(count))


def fit(seed: int = 1, **recipe: Any) -> Fit:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 2))
    return Fit(body, Recipe(**{**PLAIN, "learning_rate": 0.01, **recipe}), seed, CPU)


def weighted(weights: Any, labels: Any = None, count: int = 12) -> Samples:
    data = samples(count, views=1)
    own = None if weights is None else np.array(weights, dtype=np.float64)
    return replace(data, labels=data.labels if labels is None else np.array(labels), weights=own)


def plain(**recipe: Any) -> Fit:
    """Return a training without dropout or BatchNorm, whose batches hold all images."""
    torch.manual_seed(0)
    wanted = {**PLAIN, "learning_rate": 0.01, "batch_size": 64, **recipe}
    return Fit(nn.Sequential(nn.Linear(3, 5), nn.GELU(), nn.Linear(5, 3)), Recipe(**wanted), 1, CPU)


def outputs(by: Fit) -> np.ndarray:
    """Return what a training predicts of all images."""
    data = samples()
    return predict(by.body, data.inputs, data.rows, CPU)
