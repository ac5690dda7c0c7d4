"""A Ray cluster: connect to it, or say in a sentence why that fails; what it has room for."""

import logging
import os
import socket
from pathlib import Path
from typing import Any

import pipeline
from pipeline.common.errors import UserError, first_line
from pipeline.config.cluster import Cluster


def connect(cluster: Cluster) -> Any:
    """Return the module ray, connected; raise UserError where it is not installed, or no cluster answers."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")  # or `uv run` would have each node install the project
    try:
        import ray
    except ModuleNotFoundError:
        raise UserError("cluster.executor: ray needs Ray: uv sync --extra ray") from None
    _check_reachable(cluster.address)
    package = Path(pipeline.__file__).parent
    # The nodes get this code, whatever lies there; waiting threads sleep, as the stages have it.
    environment = {
        "py_modules": [str(package)],
        "env_vars": {"OMP_WAIT_POLICY": "PASSIVE"},
        "excludes": ["__pycache__"],
    }
    try:
        ray.init(
            cluster.address or "local",  # without an address, Ray would join whatever cluster runs on this machine
            include_dashboard=None if cluster.address else False,
            runtime_env=environment,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        ray.shutdown()
        reason = first_line(error)
        raise UserError(f"no Ray cluster at {cluster.address or 'this machine'} (cluster.address): {reason}") from None
    return ray


def _check_reachable(address: str | None) -> None:
    """Raise UserError within ten seconds if nothing listens at a given address: Ray would wait for minutes."""
    if address in (None, "auto"):
        return
    host, _, port = str(address).removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError, OverflowError) as error:
        raise UserError(
            f"no Ray cluster at {address} (cluster.address): {error}; expected auto, host:port or ray://host:port of a "
            "cluster that runs"
        ) from None


def room(ray: Any, cluster: Cluster) -> int:
    """Return how many units fit at once; raise UserError if no node could take one."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    fits = [_fits(node, cluster) for node in nodes]
    if not sum(fits):
        most = {name: max((node.get(name, 0) for node in nodes), default=0) for name in ("CPU", "GPU")}
        raise UserError(
            f"no node of the cluster has {cluster.cpus:g} CPUs and {cluster.gpus:g} GPUs for a unit (cluster.cpus, "
            f"cluster.gpus); the largest of its {len(nodes)} nodes have {most['CPU']:g} and {most['GPU']:g}"
        )
    return sum(fits)


def _fits(node: dict[str, float], cluster: Cluster) -> int:
    by_cpu = int(node.get("CPU", 0) / cluster.cpus)
    return min(by_cpu, int(node.get("GPU", 0) / cluster.gpus)) if cluster.gpus else by_cpu
