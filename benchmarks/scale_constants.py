"""The constants of the cost model that no other benchmark measures, and those that others did."""

import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np

CLASSES, ROWS = 2, 20_000


def of_cluster(parts: dict[str, Any]) -> dict[str, Any]:
    """Return what a unit, a trial and a run cost who coordinates them."""
    crowd = parts["crowd"]["workers"]
    workers = np.array([int(count) for count in crowd])
    taken = np.array([each["coordinator_cpu_us_per_unit"] for each in crowd.values()]) / 1e6
    by_worker, alone = np.polyfit(workers, taken, 1)
    optuna, mlflow = parts["database"]["optuna"]["trials"], parts["database"]["mlflow"]
    most = max(optuna, key=int)
    return {
        "unit_seconds": max(float(alone), 0.0),
        "unit_seconds_by_worker": max(float(by_worker), 0.0),
        "actor_bytes": max(each["actor_mb"] for each in crowd.values()) * 1e6,
        "trial_seconds": optuna[most]["record_cpu_ms_per_trial"] / 1000,
        "trial_rows": optuna[most]["rows_per_trial"],
        "trial_bytes": optuna[most]["bytes_per_trial"],
        "round_seconds": {size: each["round_cpu_ms"] / 1000 for size, each in optuna.items()},
        "run_seconds": mlflow["cpu_ms_per_run"] / 1000,
        "run_rows": mlflow["rows_per_run"],
        "run_calls": mlflow["calls_per_run"],
        "run_bytes": mlflow["bytes_per_run"],
        "simulated": {key: parts["simulated"][key] for key in ("workers", "units", "coordinator_cpu_us_per_unit",
                                                              "peak_memory_mb")},
    }  # fmt: skip


def of_reading(decoding: dict[str, Any], memory: dict[str, Any]) -> dict[str, float]:
    """Return what decoding an image takes, and what the lists of images take in memory."""
    sets = decoding["sets"]
    few, many = 100_000, 1_000_000
    grown = (memory[f"peak_rss_mib_{many}"] - memory[f"peak_rss_mib_{few}"]) * 2**20
    return {
        "decode_png_seconds": sets["small pictures"]["ours"]["cpu_seconds"] / sets["small pictures"]["count"],
        "decode_jpeg_seconds": sets["photographs"]["ours"]["cpu_seconds"] / sets["photographs"]["count"],
        "list_bytes": grown / (many - few),
    }


def of_files() -> dict[str, float]:
    """Return the size of a prediction, the memory of a logistic head, and how fast cached features are read."""
    return {"prediction_bytes": _prediction(), "logistic_copies": _logistic_copies(), "read_bytes_per_second": _read()}


def _prediction() -> float:
    """Return the bytes of a row of a table of predictions, with two classes."""
    from pipeline.common.files import write_csv
    from pipeline.common.outcome import Cost, Outcome
    from pipeline.training.results import predictions
    from pipeline.training.sketched_network import noise

    images = noise(ROWS, 8, 1, CLASSES)
    share = np.random.default_rng(0).random(ROWS)
    scored = {"rows": np.arange(ROWS).tolist(), "probabilities": np.stack([share, 1 - share], 1).tolist()}
    outcome = Outcome([], Cost({}, 1, 1, 1, 1), test=scored, images=1)
    with tempfile.TemporaryDirectory() as folder:
        write_csv(Path(folder) / "a.csv", predictions({1.0: {1: outcome}}, images, images, np.arange(1)))
        return (Path(folder) / "a.csv").stat().st_size / ROWS


def _logistic_copies() -> float:
    """Return how many times the features of a view are in memory while a logistic head is fitted to one view."""
    from pipeline.config.recipe import Recipe
    from pipeline.inference.network import make_head
    from pipeline.training.feature_cache import Cached
    from pipeline.training.logistic import fit_logistic
    from pipeline.training.samples import Samples

    count, width = 4000, 1000
    rng = np.random.default_rng(0)
    features = Cached([rng.standard_normal((count, width), np.float32)])
    labels, rows = rng.integers(0, CLASSES, count), np.arange(count)
    recipe = Recipe(backbone="compact", weights="random", cut="head", head="logistic", l2=1.0)
    head = make_head("logistic", width, 1, CLASSES, 0.0)
    tracemalloc.start()
    try:
        fit_logistic(head, Samples(features, labels, rows), rows[:100], 1, recipe)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak / features.activations[0].nbytes


def _read() -> float:
    """Return the bytes of cached feature maps that one process reads in a second, the file being in memory."""
    from pipeline.training.feature_cache import Cached

    count, shape = 4096, (112, 14, 14)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a.npy"
        maps = np.lib.format.open_memmap(file, "w+", np.float16, (count, *shape))
        maps[:] = 1
        inputs, rng, views = Cached([np.load(file, mmap_mode="r")]), np.random.default_rng(0), np.zeros(64, dtype=int)
        rates = []
        for _ in range(60):
            rows = rng.integers(0, count, 64)
            began = time.process_time()
            inputs.take(rows, views)
            rates.append(64 * maps[0].nbytes / (time.process_time() - began))
    return float(np.quantile(rates, 0.9))
