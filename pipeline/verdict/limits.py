"""Constraints checked against a strategy: which are met, by how much one is missed, and which limit would be met."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.common.errors import UserError
from pipeline.config.constraints import Constraints
from pipeline.statistics.schema import Interval, Recall, Score, StrategyResult
from pipeline.statistics.timings import StrategyTimings
from pipeline.verdict.formatting import listed


@dataclass(frozen=True)
class LimitCheck:
    """One limit, checked against one strategy."""

    key: str  # as in params.yaml: latency_ms, min_recall.defective
    limit: float
    value: float | None  # None: not measured
    ci: Interval | None = None

    @property
    def at_least(self) -> bool:
        """Whether more is better."""
        return self.key.startswith("min_")

    @property
    def met(self) -> bool:
        """Whether the value is within the limit; what was not measured is not."""
        if self.value is None:
            return False
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def lies(self) -> Literal["above", "below", "across"] | None:
        """Where the interval lies: above, below or across the limit; None where there is none."""
        if self.ci is None:
            return None
        low, high = self.ci
        return "above" if low >= self.limit else "below" if high < self.limit else "across"

    @property
    def excess(self) -> float:
        """The factor, above 1, by which the limit is missed; 0 where the value is not known."""
        if self.value is None:
            return 0.0
        return self.limit / max(self.value, 1e-9) if self.at_least else self.value / self.limit

    def loosened(self) -> float | None:
        """Return a limit of three digits that the value meets, or None where no limit can be set."""
        if self.value is None:
            return None
        if self.at_least:
            return _down(self.value) or None
        return _up(self.value)


def _down(value: float) -> float:
    return math.floor(value * 1000) / 1000


def _up(value: float) -> float:
    """Round up to three significant digits."""
    rounded = float(f"{value:.3g}")
    step = 10.0 ** (math.floor(math.log10(value)) - 2)
    return rounded if rounded >= value else float(f"{rounded + step:.3g}")


def check_classes(constraints: Constraints, classes: tuple[str, ...]) -> None:
    """Raise UserError where a recall is asked of a class that the data does not have."""
    unknown = [name for name in constraints.min_recall if name not in classes]
    if unknown:
        known = listed(classes)
        raise UserError(f"constraints.min_recall: no class is called {', '.join(unknown)}; the data has {known}")


def check_limits(
    constraints: Constraints, strategy: StrategyResult, timings: StrategyTimings | None
) -> list[LimitCheck]:
    """Check a strategy and its timings, where there are any, against every limit that is set."""
    minutes = None if timings is None else timings.train.seconds_per_training / 60
    latency = None if timings is None else timings.latency_ms[1].p50
    limits = [
        ("train_flops", constraints.train_flops, strategy.cost.train_flops),
        ("train_minutes", constraints.train_minutes, minutes),
        ("latency_ms", constraints.latency_ms, latency),
        ("model_mb", constraints.model_mb, strategy.cost.model_bytes / 1e6),
    ]
    found = [LimitCheck(key, limit, value) for key, limit, value in limits if limit is not None]
    if constraints.min_accuracy is not None:
        found.append(_scored("min_accuracy", constraints.min_accuracy, strategy.test["accuracy"]))
    for name, limit in sorted(constraints.min_recall.items()):
        scores = strategy.classes.get(name)
        found.append(_scored(f"min_recall.{name}", limit, None if scores is None else scores.recall))
    return found


def _scored(key: str, limit: float, score: Score | Recall | None) -> LimitCheck:
    return LimitCheck(key, limit, None) if score is None else LimitCheck(key, limit, score.mean, score.ci)


def loosen(constraints: Constraints, checks: list[LimitCheck]) -> Constraints | None:
    """Return constraints that meet these checks, the others as they were; None where one was not measured."""
    changed: dict[str, Any] = {}
    recalls = dict(constraints.min_recall)
    for check in (c for c in checks if not c.met):
        kind, _, name = check.key.partition(".")
        if check.value is None:
            return None
        if not name:
            changed[kind] = check.loosened()
        elif limit := check.loosened():
            recalls[name] = limit
        else:
            del recalls[name]
    return constraints.model_copy(update={**changed, "min_recall": recalls})
