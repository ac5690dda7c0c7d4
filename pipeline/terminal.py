"""What a person sees while it runs: progress with an ETA, and no wall of other people's warnings."""

import logging
import math
import os
import sys
import warnings
from types import TracebackType
from typing import Any

from tqdm import tqdm

from pipeline.records import Epoch


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


def one_thread_pool(threads: int) -> None:
    """Keep every thread pool at one size, and waiting threads asleep. Call it before numpy and torch load."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _pace() -> dict[str, Any]:
    """Return how often a bar is redrawn: rarely where nobody watches, since there each redraw is a line of a log."""
    return {"mininterval": 0.2 if sys.stderr.isatty() else 20.0, "dynamic_ncols": True, "smoothing": 0.1}


class Progress:
    """A bar on standard error that counts steps and says what is going on now."""

    def __init__(self, title: str, total: int, unit: str) -> None:
        self._bar = tqdm(total=total, desc=title, unit=unit, **_pace())

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.close()

    def step(self, count: float = 1) -> None:
        """Move on."""
        self._bar.update(count)

    def say(self, text: str) -> None:
        """Show a few words beside the bar."""
        self._bar.set_postfix_str(text)


class TrialProgress:
    """A bar over the trials of a study: which trial, which epoch, the best so far."""

    def __init__(self, title: str, trials: int, trainings: float, unit: str = "trial") -> None:
        self._whole = round(trainings, 6)
        layout = "{l_bar}{bar}| {elapsed}<{remaining}{postfix}"
        self._bar = tqdm(total=self._whole, desc=title, bar_format=layout, **_pace())
        self._trials, self._unit, self._best = trials, unit, math.inf
        self._seen = 0
        self._reached: dict[int, float] = {}  # trial -> share of its epochs that the bar has counted

    def __enter__(self) -> "TrialProgress":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def begin(self, number: int, epochs: int, until: int) -> None:
        """Say which trial is trained now, out of how many epochs, and how far."""
        self._number, self._epochs, self._until = number, epochs, until
        self._say(self._reached.get(number, 0) * epochs)

    def epoch(self, epoch: Epoch) -> None:
        """Count an epoch."""
        self._count(epoch.number)
        self._say(epoch.number)

    def images(self, count: int) -> None:
        """Say that a stem has run on so many more images."""
        self._seen += count
        self._bar.set_postfix_str(f"feature pass, {self._seen:,} images", refresh=False)
        self._bar.update(0)

    def end(self, value: float) -> None:
        """Count what was read back rather than trained, and remember the best."""
        self._count(self._until)
        self._best = min(self._best, value)

    def _count(self, epoch: float) -> None:
        share = min(epoch / self._epochs, 1)
        if share > self._reached.get(self._number, 0):
            step = share - self._reached.get(self._number, 0)
            self._bar.update(min(step, self._whole - self._bar.n))  # sums of shares miss 1 by a rounding
            self._reached[self._number] = share

    def _say(self, epoch: float) -> None:
        best = f", best {self._best:.3f}" if math.isfinite(self._best) else ""
        self._bar.set_postfix_str(
            f"{self._unit} {self._number + 1} of {self._trials}, epoch {epoch:.0f}/{self._epochs}{best}", refresh=False
        )
