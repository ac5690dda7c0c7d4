"""A Ray cluster of several real nodes, all of them this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}  # before ray loads

STORE = 80 * 2**20  # bytes; Ray allows no less than 75 MiB
NODE = {"num_cpus": 1, "object_store_memory": STORE}


@contextmanager
def two_nodes() -> Iterator[Any]:
    """Start a head and another node, with a core each, and the smallest object store; yield the cluster."""
    import ray
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    made.add_node(**NODE)
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()
