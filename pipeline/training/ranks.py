"""The processes that share a training, each on a device of its own: which part each has, and what they agree on."""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from pipeline.common.seeding import derive

Found = TypeVar("Found")
# One waits for another that fits a head or makes features. Who waits for the dead is ended by whoever started it.
PATIENCE = timedelta(days=7)


@dataclass(frozen=True)
class Ranks:
    """One of `size` processes that do the same, each with its part of every batch: number `rank`; 0 alone writes.

    Every method but `part` and `seed` must be called by all of them, in the same order.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Say whether this process is the one that writes."""
        return self.rank == 0

    def part(self, count: int) -> slice:
        """Return which of `count` things in a row are this process's; the numbers of two differ by one at most."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def seed(self, seed: int) -> int:
        """Return the seed of this process's own random numbers; that of the first is the one given."""
        return derive("rank", seed, self.rank) if self.rank else seed

    def total(self, own: torch.Tensor) -> torch.Tensor:
        """Return the sum of a tensor over all processes, of the same bits in each."""
        if self.size == 1:
            return own
        whole = own.detach().clone()
        dist.all_reduce(whole)
        return whole

    def agreed(self, own: int) -> int:
        """Return what the first process gives."""
        return int(self.total(torch.tensor(int(own) if self.leads else 0)))

    def leader_first(self, work: Callable[[], Found]) -> Found:
        """Return what `work` does, which the others begin when the first has done it: they find it on the disk."""
        found = work() if self.leads else None
        self.agreed(0)
        return found if found is not None else work()


ALONE = Ranks()


def join(rank: int, size: int, meeting: Path) -> None:
    """Make this process one of `size` on this machine that meet through the file `meeting`.

    Nothing listens beyond the loopback interface. Neither torchrun nor Ray Train can say that: the store by which their
    processes meet listens on all.
    """
    loopback = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
    os.environ |= {"GLOO_SOCKET_IFNAME": loopback, "NCCL_SOCKET_IFNAME": loopback}
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, f"file://{meeting}", timeout=PATIENCE, world_size=size, rank=rank)


def current() -> Ranks:
    """Return which of how many processes this is."""
    return Ranks(dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else ALONE


class Summed(torch.autograd.Function):
    """Sum a tensor over all processes, and its gradient likewise."""

    @staticmethod
    def forward(ctx: Any, own: torch.Tensor) -> torch.Tensor:
        """Return the sum."""
        return current().total(own)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """Return the sum of what each process's loss makes of it."""
        return current().total(gradient.contiguous())
