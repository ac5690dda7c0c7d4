"""Where units are trained: on this machine, or on a Ray cluster. No heavy imports: the parameters are made of this."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.config.settings import Section


class Cluster(Section):
    """Say which machines train, and what of them a unit gets; results do not depend on it."""

    executor: Literal["local", "ray"] = "local"
    address: str | None = None  # of Ray's head: host:port, ray://host:port or auto; null starts Ray on this machine
    cpus: Annotated[float, Field(gt=0)] = 1.0  # that Ray sets aside for a unit
    gpus: Annotated[float, Field(ge=0)] = 0.0  # a part of one is possible
    retries: Annotated[int, Field(ge=0)] = 3  # of a unit whose node or process died


LOCAL = Cluster()
