"""Measure what finished units write: rows and calls by trial in Optuna's and MLflow's databases, and their speed.

Real studies and real runs, in SQLite; units are not trained. `benchmarks.cluster` calls it.
"""

import os
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

EPOCHS, ROUND = 6, 4  # of a trial; trials of a round


@contextmanager
def rows_written() -> Iterator[Counter[str]]:
    """Count the rows that any SQLAlchemy engine inserts or updates, by table."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    found: Counter[str] = Counter()

    def see(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        words = statement.split()
        if words[0] in ("INSERT", "UPDATE"):
            table = words[2] if words[0] == "INSERT" else words[1]
            many_rows = len(parameters) if many else 1
            found[table.strip('"')] += cursor.rowcount if cursor.rowcount >= 0 else many_rows

    event.listen(Engine, "after_cursor_execute", see)
    try:
        yield found
    finally:
        event.remove(Engine, "after_cursor_execute", see)


@contextmanager
def calls_made(client: Any) -> Iterator[Counter[str]]:
    """Count the calls that a client of MLflow makes of its store: over HTTP, each is a request."""
    found: Counter[str] = Counter()
    store = client._tracking_client.store

    class Counting:
        def __getattr__(self, name: str) -> Any:
            wanted = getattr(store, name)
            if not callable(wanted):
                return wanted
            found[name] += name != "shut_down_async_logging"  # which asks nobody
            return wanted

    kind = type(client._tracking_client)
    usual = kind.store
    kind.store = property(lambda self: Counting())
    try:
        yield found
    finally:
        kind.store = usual


def finished(recipe: Any, number: int, epochs: int, space: dict[str, Any]) -> Any:
    """Return a trial as a training would leave it."""
    from pipeline.common.outcome import Cost, Epoch, Outcome
    from pipeline.config.metric_names import METRICS
    from pipeline.search.trials import COMPLETE, FinishedTrial

    valid = dict.fromkeys((*METRICS, "balanced_log_loss"), 0.5 + number % 7 / 100)
    outcome = Outcome([Epoch(n, 0.5, valid) for n in range(1, epochs + 1)], Cost({}, 10**12, 10**9, 10**6, 10**6))
    return FinishedTrial(number, COMPLETE, recipe, space, outcome)


def mlflow_part(trials: int, epochs: int) -> dict[str, Any]:
    """Return what the runs of trials write: rows and calls by run, and runs a second, in SQLite without a server."""
    from pipeline.config import params as parameters
    from pipeline.tracking.arm_runs import ArmTracker
    from pipeline.tracking.experiments import Dataset
    from pipeline.tracking.trial_records import trial_record

    row = parameters.load(Path("params.yaml")).strategies["finetune"]
    values = row.default_values()
    recipe, tags = row.full_recipe(values), {"strategy": "a", "backbone": "b", "stage": "tune", "seed": "0"}
    data = [Dataset(f"images-{split}", "digest", "folder", split) for split in ("train", "valid")]
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{root / 'mlflow.db'}"
        tracker = ArmTracker(root, "benchmark", *data)
        records = [trial_record(finished(recipe, n, epochs, values), "a", tags) for n in range(trials + 1)]
        with tracker.searching("a", "key", tags) as parent:
            tracker.children(parent, records[:1])
            size = (root / "mlflow.db").stat().st_size
            with rows_written() as rows, calls_made(tracker._client) as calls:
                began, cpu = time.perf_counter(), time.process_time()
                tracker.children(parent, records[1:])
                seconds, used = time.perf_counter() - began, time.process_time() - cpu
            size = (root / "mlflow.db").stat().st_size - size
    return {
        "runs": trials, "epochs": epochs, "rows_per_run": sum(rows.values()) / trials,
        "calls_per_run": sum(calls.values()) / trials, "bytes_per_run": size / trials,
        "runs_per_second": trials / seconds, "cpu_ms_per_run": 1000 * used / trials,
        "rows": dict(rows), "calls": dict(calls),
    }  # fmt: skip


def optuna_part(sizes: Sequence[int], epochs: int) -> dict[str, Any]:
    """Return what a search's own work takes by trial, in studies that hold ever more of them: proposals and records."""
    from pipeline.config import params as parameters
    from pipeline.search.proposals import next_round
    from pipeline.search.study import _record_round, open_study

    row = parameters.load(Path("params.yaml")).strategies["finetune"]
    values = row.default_values()
    recipe, found = row.full_recipe(values), {}
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "optuna.db"
        study, held = open_study(file, "benchmark"), 0
        for size in sizes:
            with rows_written() as rows:
                began = time.process_time()
                numbers = range(held, size)
                _record_round(study, [finished(recipe, n, epochs, values) for n in numbers], row)
                recorded = time.process_time() - began
            study.get_trials(deepcopy=False)  # a running search has read all but the last round
            numbers, began = range(size, size + ROUND), time.process_time()
            _record_round(study, [finished(recipe, n, epochs, values) for n in numbers], row)
            next_round(study.get_trials(deepcopy=False), row, 0, range(size + ROUND, size + 2 * ROUND))
            found[str(size)] = {
                "record_cpu_ms_per_trial": 1000 * recorded / (size - held), "rows": dict(rows),
                "rows_per_trial": sum(rows.values()) / (size - held),
                "round_cpu_ms": 1000 * (time.process_time() - began), "bytes_per_trial": file.stat().st_size / size,
            }  # fmt: skip
            held = size + ROUND
    return {"epochs": epochs, "round": ROUND, "trials": found}


def search_part(workers: int, rounds: int, seconds: float) -> dict[str, Any]:
    """Return what a whole search takes its coordinator: units that are simulated, a study and runs that are real.

    A round has a trial for each worker, so that all wait while it is recorded and the next one is proposed.
    """
    from benchmarks.simulated_ray import simulated_executor
    from pipeline.config import params as parameters
    from pipeline.search.study import open_study, tune
    from pipeline.search.trial_runner import jobs_of_rung
    from pipeline.tracking.arm_runs import ArmTracker
    from pipeline.tracking.experiments import Dataset
    from pipeline.tracking.trial_records import trial_record

    settings = parameters.load(Path("params.yaml"))
    alike = {"trials": workers * rounds, "startup_trials": workers, "trials_per_round": workers}
    row = settings.strategies["finetune"].model_copy(update={**alike, "proxy": {}, "confirm": None})
    search = settings.search.model_copy(update={"budget": None})
    recipe = row.full_recipe(row.default_values())
    taken, tags = Counter[str](), {"strategy": "a", "backbone": "b", "stage": "tune", "seed": "0"}
    with tempfile.TemporaryDirectory() as name, simulated_executor(workers, seconds) as (executor, cluster):
        root = Path(name)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{root / 'mlflow.db'}"
        tracker = ArmTracker(root, "benchmark", Dataset("images-train", "digest", "folder", "train"))

        def evaluate(rung: Any) -> dict[int, Any]:
            began, jobs = time.process_time(), jobs_of_rung(rung, 0)
            assert len(executor.map(jobs)) == len(jobs)
            taken["units"] += time.process_time() - began
            return {n: finished(recipe, n, EPOCHS, {}).outcome for n in rung.recipes}

        began = time.process_time()
        with tracker.searching("a", "key", tags) as parent:
            for done in tune(row, search, open_study(root / "optuna.db", "benchmark"), evaluate):
                before = time.process_time()
                tracker.children(parent, [trial_record(t, "a", tags) for t in done])
                taken["mlflow"] += time.process_time() - before
        taken["study"] = time.process_time() - began - taken.total()
        sizes = {file: (root / file).stat().st_size for file in ("optuna.db", "mlflow.db")}
        busy = cluster.clock / (cluster.clock + taken.total())
    return {
        "workers": workers, "trials": workers * rounds, "seconds_of_a_unit": seconds, "cpu_seconds": dict(taken),
        "busy": busy, "bytes": sizes, "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }  # fmt: skip


def measure() -> dict[str, Any]:
    """Return rows, calls and speed."""
    import logging

    logging.disable(logging.WARNING)
    from pipeline.common.progress import quiet

    quiet()
    return {"mlflow": mlflow_part(300, EPOCHS), "optuna": optuna_part((100, 1_000, 4_000), EPOCHS)}
