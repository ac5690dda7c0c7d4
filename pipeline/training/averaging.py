"""An exponential moving average of a network's weights, which predicts in their place."""

from typing import Any

import torch
from torch import nn

State = dict[str, torch.Tensor]


class MovingAverage:
    """Average the weights of a body over its updates, and its BatchNorm statistics with them.

    While an epoch is trained the body holds its own weights; between epochs, when it predicts and is saved, it holds
    their average. The decay warms up, (1 + updates) / (10 + updates) at most, so that short trainings forget their
    random start (Tan and Le 2019's schedule, as TensorFlow's ExponentialMovingAverage has it).
    """

    def __init__(self, body: nn.Module, decay: float) -> None:
        self._body, self._decay, self._updates = body, decay, 0
        self._other: State | None = None  # the body's own weights between epochs, their average within one

    def begin_epoch(self) -> None:
        """Give the body its own weights back."""
        if self._other is None:
            self._other = _copy(self._body)
        else:
            self._swap()

    def update(self) -> None:
        """Take the body's weights after one more update into the average."""
        assert self._other is not None
        self._updates += 1
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        for name, value in self._body.state_dict().items():
            average = self._other[name]
            if average.is_floating_point():
                average.lerp_(value, 1 - decay)
            else:
                average.copy_(value)

    def end_epoch(self) -> None:
        """Give the body the average."""
        self._swap()

    def _swap(self) -> None:
        assert self._other is not None
        here = _copy(self._body)
        self._body.load_state_dict(self._other)
        self._other = here

    def state(self) -> dict[str, Any]:
        """Return what the body, between epochs, does not hold itself."""
        return {"own": self._other, "updates": self._updates}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state, beside the body's."""
        self._other, self._updates = state["own"], state["updates"]


def _copy(body: nn.Module) -> State:
    return {name: value.clone() for name, value in body.state_dict().items()}
