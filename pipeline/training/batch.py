"""A batch on its device, and its loss: whole, or a part at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch.nn import functional as F

from pipeline.training.mixup import Mixed


@dataclass(frozen=True)
class Goal:
    """What a batch is to be recognised as."""

    target: torch.Tensor  # int64 (N,)
    weights: torch.Tensor | None  # of each image's loss, float32 (N,)

    def losses(self, logits: torch.Tensor, smoothing: float) -> torch.Tensor:
        """Return each image's weighted loss (N,)."""
        each = F.cross_entropy(logits, self.target, label_smoothing=smoothing, reduction="none")
        # Not divided by the batch's own weight: then its gradient would not be the whole's on average.
        return each if self.weights is None else each * self.weights

    def of(self, rows: torch.Tensor | slice) -> "Goal":
        """Return the goal of some images."""
        return Goal(self.target[rows], None if self.weights is None else self.weights[rows])


@dataclass(frozen=True)
class Batch:
    """Inputs (N, ...) and their goal; of mixed images, that of their partners too."""

    x: torch.Tensor
    goal: Goal
    mixed: Mixed | None = None
    partners: Goal | None = None

    def __len__(self) -> int:
        return len(self.x)

    def mix(self, mixed: Mixed | None) -> "Batch":
        """Mix the images of a batch with one another."""
        if mixed is None:
            return self
        mixed = Mixed(mixed.partner.to(self.x.device), mixed.share.to(self.x.device))
        return replace(self, x=mixed.inputs(self.x), mixed=mixed, partners=self.goal.of(mixed.partner))

    def loss(self, logits: torch.Tensor, smoothing: float) -> torch.Tensor:
        """Return the mean loss; that of mixed images is as much their partner's as they are."""
        if self.goal.weights is None and self.mixed is None:
            return F.cross_entropy(logits, self.goal.target, label_smoothing=smoothing)
        own = self.goal.losses(logits, smoothing)
        if self.mixed is None or self.partners is None:
            return own.mean()
        return self.mixed.losses(own, self.partners.losses(logits, smoothing)).mean()

    def parts(self, count: int) -> Iterator["Batch"]:
        """Yield the batch in so many parts, whose sizes differ by one at most."""
        ends = [len(self) * number // count for number in range(count + 1)]
        for rows in map(slice, ends[:-1], ends[1:]):
            mixed = None if self.mixed is None else Mixed(self.mixed.partner[rows], self.mixed.share[rows])
            yield Batch(self.x[rows], self.goal.of(rows), mixed, self.partners and self.partners.of(rows))
