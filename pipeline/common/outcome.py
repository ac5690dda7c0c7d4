"""What a unit of work gives: its epochs, its cost, its predictions."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Epoch:
    """Scores after one epoch: mean training loss (nats), validation scores by metric name where it was looked at."""

    number: int  # from 1
    train_loss: float
    valid: dict[str, float]


@dataclass(frozen=True)
class Cost:
    """Floating-point operations by what they were spent on; sizes in parameters."""

    passes: dict[str, int]  # feature passes over every view of the images, by stem, as if nobody shared them
    fit_flops: int  # forward and backward through what is trained, and the validation passes
    predict_flops: int  # one image through the whole network
    parameters: int
    trainable_parameters: int

    @property
    def train_flops(self) -> int:
        """Return what one training costs on its own."""
        return sum(self.passes.values()) + self.fit_flops

    def measures(self) -> dict[str, float]:
        """Return the sizes under the names they have in results and in MLflow."""
        return {
            "train_flops": self.train_flops,
            "fit_flops": self.fit_flops,
            "predict_flops": self.predict_flops,
            "parameters": self.parameters,
            "trainable_parameters": self.trainable_parameters,
        }


@dataclass(frozen=True)
class Outcome:
    """The result of one unit of work."""

    epochs: list[Epoch]
    cost: Cost
    failed: str = ""  # why it stopped early, where it did
    valid: dict[str, Any] = field(default_factory=dict)  # rows of the images scored, and their probabilities
    test: dict[str, Any] = field(default_factory=dict)  # the same; empty unless the unit was to open the test split
    images: int = 0  # that it was trained on

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> "Outcome":
        """Rebuild an Outcome from `asdict` of one."""
        epochs = [Epoch(**epoch) for epoch in raw["epochs"]]
        return cls(**{**raw, "epochs": epochs, "cost": Cost(**raw["cost"])})
