"""Measure what the coordinator of a cluster takes: `nice -n 10 uv run python -m benchmarks.cluster`.

Ray against processes of this machine on units of a second, tiny units, two nodes against one, ever more workers, and a
thousand simulated workers whose units pass through the real coordinator, the real study and the real MLflow client.
Units wait rather than compute, so that two cores suffice; every figure is a ratio, or a rate, of one run. Writes
results/cluster.json; with --only, just that part is measured again.
"""

import argparse
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.machine import machine, sentence

RESULTS = Path(__file__).parent / "results"
GOALS = {
    "overhead": (0.0, 0.10, "Ray against processes of this machine, two workers, units of 1 s: overhead"),
    "tiny_per_second": (500.0, float("inf"), "10,000 units that do nothing, two workers: units a second"),
    "two_nodes": (1.8, float("inf"), "two local nodes against one, units that wait: speed-up"),
}


def nothing() -> None:
    """Return the context of units that need none."""


def wait(seconds: float, shared: Any, report: Any) -> float:
    """Take so long, without computing."""
    time.sleep(seconds)
    return seconds


@contextmanager
def on_ray(workers: int, cpus: float = 1.0, address: str | None = None) -> Iterator[Any]:
    """Yield the executor of a cluster that is there, or of one that Ray starts on this machine."""
    from pipeline.config.cluster import Cluster
    from pipeline.execution.ray_executor import RayExecutor

    with RayExecutor(Cluster(executor="ray", address=address, cpus=cpus), workers, nothing, wait) as executor:
        yield executor


@contextmanager
def on_processes(workers: int) -> Iterator[Any]:
    """Yield the executor of processes of this machine."""
    from pipeline.common.process_pool import Executor

    with Executor(workers, nothing, wait) as executor:
        yield executor


def timed(executor: Any, jobs: Sequence[float]) -> dict[str, float]:
    """Do jobs; return the seconds by the clock and the coordinator's CPU-seconds."""
    began, cpu = time.perf_counter(), time.process_time()
    done = executor.map(jobs)
    assert len(done) == len(jobs)
    return {"seconds": time.perf_counter() - began, "coordinator_cpu": time.process_time() - cpu}


def overhead(units: int) -> dict[str, Any]:
    """Return how much longer units of a second take on Ray than in processes, all workers being there already."""
    taken: dict[str, float] = {}
    for name, open_executor in (("processes", on_processes), ("ray", on_ray)):
        with open_executor(2) as executor:
            executor.map([0.0] * 4)
            taken[name] = timed(executor, [1.0] * units)["seconds"]
    return {"overhead": taken["ray"] / taken["processes"] - 1, "units": units, "seconds": taken}


def tiny(units: int) -> dict[str, Any]:
    """Return how many units that do nothing pass through the coordinator a second."""
    found: dict[str, Any] = {}
    for name, open_executor in (("processes", on_processes), ("ray", on_ray)):
        with open_executor(2) as executor:
            executor.map([0.0] * 100)
            found[name] = timed(executor, [0.0] * units)
    return {"tiny_per_second": units / found["ray"]["seconds"], "units": units, **found}


def two_nodes(units: int) -> dict[str, Any]:
    """Return how much faster two nodes do units that wait than one does; each has room for two."""
    import ray
    from ray.cluster_utils import Cluster

    taken = {}
    for nodes in (1, 2):
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
        try:
            for _ in range(nodes - 1):
                cluster.add_node(num_cpus=2)
            with on_ray(2 * nodes, address=cluster.address) as executor:
                executor.map([0.5] * 2 * nodes)
                taken[str(nodes)] = timed(executor, [0.5] * units)["seconds"]
        finally:
            ray.shutdown()
            cluster.shutdown()
    return {"two_nodes": taken["1"] / taken["2"], "units": units, "seconds": taken}


def crowd(sizes: Sequence[int], units: int) -> dict[str, Any]:
    """Return what a tiny unit costs the coordinator, and an actor in memory, with ever more actors of Ray."""
    found = {}
    for workers in sizes:
        with on_ray(workers, cpus=0.001) as executor:
            while len(executor._idle) < workers:  # Ray starts them a few at a time
                executor.map([0.5] * 2 * workers)
            memory = actors_memory()
            taken = timed(executor, [0.0] * units)
            found[str(workers)] = {
                "actor_mb": memory / workers / 1e6,
                "units_per_second": units / taken["seconds"],
                "coordinator_cpu_us_per_unit": 1e6 * taken["coordinator_cpu"] / units,
            }
            print(workers, found[str(workers)], file=sys.stderr, flush=True)
    return {"workers": found, "units": units}


def actors_memory() -> int:
    """Return the bytes that are the actors' own, which no other process shares."""
    import psutil

    found = 0
    for process in psutil.Process().children(recursive=True):
        try:
            if "ray::Worker" in " ".join(process.cmdline()):
                found += process.memory_full_info().uss
        except psutil.Error:
            continue  # it has ended
    return found


def simulated(workers: int, units: int) -> dict[str, Any]:
    """Return what the coordinator takes for so many units on so many workers that are simulated in this process."""
    from benchmarks.simulated_ray import simulated_executor

    began, cpu = time.perf_counter(), time.process_time()
    with simulated_executor(workers, seconds=30.0) as (executor, cluster):
        for _ in executor.stream(range(units)):
            pass
        most, virtual = cluster.most_at_once, cluster.clock
    taken = time.process_time() - cpu
    return {
        "workers": workers,
        "units": units,
        "most_at_once": most,
        "coordinator_cpu_us_per_unit": 1e6 * taken / units,
        "units_per_second": units / (time.perf_counter() - began),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "efficiency": units * 30.0 / workers / virtual,
        "workers_kept_busy_by_units_of_a_second": units / taken,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the parts asked for; return 0 where every goal measured so far is met, 1 otherwise."""
    from benchmarks import database
    from pipeline.common.files import read_json, write_json, write_text

    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "overhead": partial(overhead, 60),
        "tiny": partial(tiny, 10_000),
        "two_nodes": partial(two_nodes, 80),
        "crowd": partial(crowd, (2, 8, 32, 96), 3_000),
        "simulated": partial(simulated, 1_000, 100_000),
        "database": database.measure,
        "search": partial(database.search_part, 100, 2, 60.0),
    }
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=list(parts), nargs="+", default=list(parts), help="parts (default: all)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results (default: %(default)s)")
    parser.add_argument("--note", default="", help="what else ran on the machine")
    args = parser.parse_args(argv)
    file = args.out / "cluster.json"
    found: dict[str, Any] = read_json(file) if file.exists() else {"parts": {}}
    for name in args.only:
        load = os.getloadavg()[0]
        result = parts[name]()
        found |= {key: result.pop(key) for key in GOALS if key in result}
        found["parts"][name] = {**result, "load_before": load, **({"note": args.note} if args.note else {})}
        found["machine"] = machine("ray", "optuna", "mlflow")
        write_json(file, found)
        write_text(file.with_suffix(".md"), table(read_json(file)))
        print(f"{name}: {found['parts'][name]}", file=sys.stderr, flush=True)
    met = {key: low <= found[key] <= high for key, (low, high, _) in GOALS.items() if key in found}
    print("\n".join(f"{GOALS[key][2]}: {found[key]:.3f} ({'met' if ok else 'missed'})" for key, ok in met.items()))
    return int(not all(met.values()))


def table(found: dict[str, Any]) -> str:
    """Return cluster.md."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from pipeline.verdict.formatting import digits

    here, parts = FileSystemLoader(Path(__file__).parent), found["parts"]
    environment = Environment(loader=here, undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= {"digits": digits, "power": "{:,}".format,
                            "numbered": lambda pairs: sorted(pairs, key=lambda pair: int(pair[0]))}  # fmt: skip
    return (
        environment.get_template("cluster.md.j2").render(
            goals=[(text, found[key], low, high) for key, (low, high, text) in GOALS.items() if key in found],
            parts=parts,
            saturation=saturation(parts) if {"crowd", "database", "simulated"} <= parts.keys() else None,
            notes=sorted({each["note"] for each in parts.values() if "note" in each}),
            machine=sentence(found["machine"]),
        )
        + "\n"
    )


def saturation(parts: dict[str, Any]) -> dict[str, float]:
    """Return what a trial costs the coordinator, and how long it must be to keep the simulated workers busy."""
    from benchmarks.scale_constants import of_cluster

    known, workers = of_cluster(parts), parts["simulated"]["workers"]
    ray = known["unit_seconds"] + workers * known["unit_seconds_by_worker"]
    taken = ray + known["trial_seconds"] + known["run_seconds"]
    return {"milliseconds": 1000 * taken, "ray": 1000 * ray, "per_second": 1 / taken, "shortest": workers * taken,
            "shortest_unit": workers * ray}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
