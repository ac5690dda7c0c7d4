"""Two real processes that share trainings, and small trainings for them."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pipeline.common.process_pool import start
from pipeline.config.recipe import Recipe
from pipeline.training.loop import Fit, predict
from pipeline.training.ranks import ALONE, Ranks, current, join
from pipeline.training.samples import Samples
from tests.support.fits import CPU, PLAIN

Together = Callable[..., list[Any]]


class Maps:
    """Feature maps by row."""

    views = 1

    def __init__(self, count: int) -> None:
        self.values = torch.from_numpy(np.random.default_rng(0).normal(size=(count, 3, 6, 6)).astype(np.float32))

    def take(self, rows: np.ndarray, views: np.ndarray) -> torch.Tensor:
        return self.values[torch.from_numpy(rows)]


class Partly(nn.Module):
    """A layer with a parameter that nothing depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.used(x)


def learn(epochs: int, ranks: Ranks = ALONE, micro_batch: int | None = None, **recipe: Any) -> dict[str, Any]:
    """Train on 13 maps, in batches of 4 or 5; return losses, the state of the body and predictions.

    Before a norm there is no bias: its gradient is nothing but rounding, of which Adam makes whole steps.
    """
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.SiLU(), nn.Flatten(),
                         nn.Linear(64, 4, bias=False), nn.BatchNorm1d(4), nn.GELU(), Partly())  # fmt: skip
    wanted = Recipe(**{**PLAIN, "learning_rate": 0.01, "epochs": epochs, "batch_size": 5, **recipe})
    data = Samples(Maps(13), np.arange(13) % 3, np.arange(13))
    fit = Fit(body, wanted, 1, CPU, "float32", ranks, micro_batch)
    losses = [fit.epoch(data) for _ in range(epochs)]
    predicted = predict(body, data.inputs, data.rows, CPU, ranks=ranks)
    return {"losses": losses, "state": {k: v.numpy() for k, v in body.state_dict().items()}, "predicted": predicted}


def learn_together(*args: Any, **recipe: Any) -> dict[str, Any]:
    return learn(*args, ranks=current(), **recipe)


def _meet(*where: Any) -> Ranks:
    join(*where)
    return current()


def _work(job: Any, context: Any, report: Any) -> Any:
    function, args, named = job
    return function(*args, **named)


@contextmanager
def processes(size: int = 2) -> Iterator[Together]:
    """Start processes that have met; yield a function that has each call another, and returns what they return."""
    with tempfile.TemporaryDirectory() as folder:
        started = [start(partial(_meet, rank, size, Path(folder) / "meeting"), _work) for rank in range(size)]

        def together(function: Callable[..., Any], *args: Any, **named: Any) -> list[Any]:
            for pipe, _ in started:
                pipe.send((0, (function, args, named)))
            answers = []
            for pipe, _ in started:
                assert pipe.poll(120), "no answer"
                answers.append(pipe.recv())
            assert [kind for kind, *_ in answers] == ["done"] * size, answers
            return [result for _, _, result in answers]

        try:
            yield together
        finally:
            for pipe, process in started:
                process.kill()
                process.join()
                pipe.close()
