"""Where units are trained: on this machine, or on a Ray cluster. No heavy imports: the parameters are made of this."""

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field

from pipeline.config.settings import Section


@dataclass(frozen=True)
class Gpu:
    """What a GPU's data sheet says, without sparsity."""

    flops: float  # floating-point operations a second, in bfloat16; of those that lack it, in half precision
    bytes_per_second: float  # to its memory


# NVIDIA's data sheets, of cards for servers; `headstart plan` computes with them.
GPUS: Final = {
    "t4": Gpu(65e12, 0.32e12), "l4": Gpu(121e12, 0.30e12), "a10": Gpu(125e12, 0.60e12),
    "a100": Gpu(312e12, 2.04e12), "h100": Gpu(989e12, 3.35e12), "h200": Gpu(989e12, 4.80e12),
}  # fmt: skip


class Cluster(Section):
    """Say which machines train, and what of them a unit gets; results do not depend on it."""

    executor: Literal["local", "ray"] = "local"
    address: str | None = None  # of Ray's head: host:port, ray://host:port or auto; null starts Ray on this machine
    cpus: Annotated[float, Field(gt=0)] = 1.0  # that Ray sets aside for a unit
    gpus: Annotated[float, Field(ge=0)] = 0.0  # a part of one is possible
    retries: Annotated[int, Field(ge=0)] = 3  # of a unit whose node or process died
    # Of what `headstart plan` says before anything is run.
    gpu: Literal["t4", "l4", "a10", "a100", "h100", "h200"] | None = None  # that a worker has; None: a core as here
    price_per_hour: Annotated[float, Field(ge=0)] | None = None  # of a worker, in dollars


LOCAL = Cluster()
