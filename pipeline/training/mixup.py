"""Mixup: train on weighted means of two inputs, and of their losses."""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Mixed:
    """How the images of a batch are paired: image i is mixed with image `partner[i]`, and counts `share[i]` of it."""

    partner: torch.Tensor  # int64 (N,)
    share: torch.Tensor  # float32 (N,), in [0, 1]

    def inputs(self, x: torch.Tensor) -> torch.Tensor:
        """Mix inputs, float (N, ...)."""
        share = self.share.to(x).view(-1, *[1] * (x.ndim - 1))
        return share * x + (1 - share) * x[self.partner.to(x.device)]

    def losses(self, own: torch.Tensor, partners: torch.Tensor) -> torch.Tensor:
        """Mix each image's losses (N,) against its own label and against its partner's."""
        share = self.share.to(own)
        return share * own + (1 - share) * partners


class Mixer:
    """Draw how the batches of an epoch are mixed, with shares of a Beta(alpha, alpha) distribution.

    Zhang et al. 2018, arXiv 1710.09412. Inputs are pixels or feature maps alike.
    """

    def __init__(self, alpha: float, seed: int) -> None:
        self._alpha, self._rng = alpha, np.random.default_rng(seed)

    def draw(self, count: int) -> Mixed:
        """Return how the next batch of so many images is mixed."""
        partner = self._rng.permutation(count)
        share = self._rng.beta(self._alpha, self._alpha, count).astype(np.float32)
        return Mixed(torch.from_numpy(partner), torch.from_numpy(share))
