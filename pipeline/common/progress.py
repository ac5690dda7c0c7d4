"""What a person sees while it runs: progress with an ETA, and no wall of other people's warnings."""

import logging
import math
import os
import sys
import warnings
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from tqdm import tqdm

from pipeline.common.outcome import Epoch


def quiet() -> None:
    """Silence third-party chatter in this process. Call it from a stage's main, before heavy imports."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_UV_AUTO_DETECT", "false")
    os.environ.setdefault("MLFLOW_LOG_UV_FILES", "false")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    warnings.filterwarnings("ignore", module=r"(mlflow|timm|torch|optuna|pydantic|google|sqlalchemy)(\..*)?")
    for name in ("alembic", "sqlalchemy", "matplotlib", "git"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # logs a traceback of what it also raises


def one_thread_pool(threads: int) -> None:
    """Keep every thread pool at one size, and waiting threads asleep. Call it before numpy and torch load."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _pace() -> dict[str, Any]:
    """Return how often a bar is redrawn: rarely where nobody watches, since there each redraw is a line of a log."""
    return {"mininterval": 0.2 if sys.stderr.isatty() else 20.0, "dynamic_ncols": True, "smoothing": 0.1}


class Progress:
    """A bar on standard error that counts steps."""

    def __init__(self, title: str, total: int, unit: str) -> None:
        self._bar = tqdm(total=total, desc=title, unit=unit, **_pace())

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.close()

    def step(self, count: float = 1) -> None:
        """Move on."""
        self._bar.update(count)


class TrialProgress:
    """A bar over the trials of a study: which trial, which epoch, the best so far. Trials may run side by side."""

    def __init__(self, title: str, trials: int, trainings: float, unit: str = "trial") -> None:
        self._whole = round(trainings, 6)
        layout = "{l_bar}{bar}| {elapsed}<{remaining}{postfix}"
        self._bar = tqdm(total=self._whole, desc=title, bar_format=layout, **_pace())
        self._trials, self._unit, self._best = trials, unit, math.inf
        self._seen = 0
        self._epochs: dict[int, int] = {}  # trial -> how many its recipe has
        self._sizes: dict[int, float] = {}  # trial -> how much of the bar it is
        self._reached: dict[int, int] = {}  # trial -> how many the bar has counted

    def __enter__(self) -> "TrialProgress":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def expect(self, epochs: Mapping[int, int], size: float = 1.0) -> None:
        """Say how many epochs each of these trials has, and how much of the bar each is."""
        self._epochs |= epochs
        self._sizes |= dict.fromkeys(epochs, size)

    def on_event(self, kind: str, *content: Any) -> None:
        """Show what a job reports: ("epoch", trial, Epoch), or ("images", count) of a stem's pass."""
        if kind == "epoch":
            number, epoch = content
            self._count(number, epoch.number)
            self._say(number, epoch)
        else:
            self._seen += content[0]
            self._bar.set_postfix_str(f"feature pass, {self._seen:,} images", refresh=False)
            self._bar.update(0)

    def end(self, number: int, until: int, value: float) -> None:
        """Count what was read back rather than trained, and remember the best."""
        self._count(number, until)
        self._best = min(self._best, value)

    def _count(self, number: int, epoch: int) -> None:
        new = min(epoch, self._epochs[number]) - self._reached.get(number, 0)
        if new > 0:
            share = self._sizes[number] * new / self._epochs[number]
            self._bar.update(min(share, self._whole - self._bar.n))  # shares miss 1 by a rounding
            self._reached[number] = epoch

    def _say(self, number: int, epoch: Epoch) -> None:
        best = f", best {self._best:.3f}" if math.isfinite(self._best) else ""
        where = f"{self._unit} {number + 1} of {self._trials}, epoch {epoch.number}/{self._epochs[number]}"
        self._bar.set_postfix_str(where + best, refresh=False)
