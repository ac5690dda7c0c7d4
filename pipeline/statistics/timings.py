"""How long a strategy took on this machine; no result rests on it but a constraint on time."""

from collections.abc import Mapping

from pydantic import ConfigDict

from pipeline.common.documents import Document


class _Timing(Document):
    """Ignore what else was measured: timings outlive the code that wrote them."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Latency(_Timing):
    """Milliseconds for one call of the served model: median and 95th percentile."""

    p50: float
    p95: float


class TrainingTime(_Timing):
    """What the trainings took: CPU-seconds of all, the wall-clock of one on all images."""

    cpu_seconds: float
    seconds_per_training: float
    images_per_second: float


class SearchTime(_Timing):
    """What the search took."""

    cpu_seconds: float


class StrategyTimings(_Timing):
    """What stages tune and train measured of one strategy."""

    peak_memory_bytes: int
    train: TrainingTime
    latency_ms: dict[int, Latency]  # by images in a call: 1 and 32
    tune: SearchTime


Timings = Mapping[str, StrategyTimings]  # by strategy; some may be missing
