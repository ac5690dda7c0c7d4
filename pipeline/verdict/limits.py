"""Constraints held against a strategy: what is met, by how much it is missed, and what would do."""

import math
from dataclasses import dataclass
from typing import Any

from pipeline.common.errors import UserError
from pipeline.config.constraints import Constraints
from pipeline.verdict.formatting import listed
from pipeline.verdict.phrases import Show, apart, flops, megabytes, milliseconds, minutes, share

# What is limited, and how its amounts are shown. A recall is of a class, named after a dot.
KINDS: dict[str, tuple[str, Show]] = {
    "train_flops": ("training", flops),
    "train_minutes": ("training", minutes),
    "latency_ms": ("latency", milliseconds),
    "model_mb": ("model", megabytes),
    "min_accuracy": ("accuracy", share),
    "min_recall": ("recall", share),
}


@dataclass(frozen=True)
class Finding:
    """One limit, held against one strategy."""

    key: str  # as in params.yaml: latency_ms, min_recall.defective
    limit: float
    value: float | None  # None: not measured
    ci95: tuple[float, float] | None = None

    @property
    def at_least(self) -> bool:
        """Whether more is better."""
        return self.key.startswith("min_")

    @property
    def met(self) -> bool:
        """Whether the value is within the limit; what was not measured is not known to be."""
        if self.value is None:
            return False
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def lies(self) -> str | None:
        """Where the interval lies: above, below or across the limit; None where there is none."""
        if self.ci95 is None:
            return None
        low, high = self.ci95
        return "above" if low >= self.limit else "below" if high < self.limit else "across"

    @property
    def subject(self) -> str:
        """What is limited, in words."""
        kind, _, name = self.key.partition(".")
        return f"{KINDS[kind][0]} of {name}" if name else KINDS[kind][0]

    def phrase(self, amount: str) -> str:
        """Return an amount of what is limited, in words: latency of 15 ms."""
        kind, _, name = self.key.partition(".")
        return f"{KINDS[kind][0]} of {amount}{f' for {name}' if name else ''}"

    @property
    def show(self) -> Show:
        """How its amounts are shown."""
        return KINDS[self.key.partition(".")[0]][1]

    def reason(self) -> str:
        """Say, with numbers, why the limit is not met."""
        if self.value is None:
            return f"{self.subject} was not measured (limit: {self.show(self.limit, 0)})"
        value, limit = apart(self.value, self.limit, self.show)
        text = f"{self.subject} {value} is {'below' if self.at_least else 'over'} the limit of {limit}"
        if self.ci95 is None:
            return text
        span = " to ".join(self.show(end, 0) for end in self.ci95)
        doubt = "but the interval reaches it" if self.lies == "across" else "and so is the interval"
        return f"{text}, {doubt} ({span})"

    def loosened(self) -> float | None:
        """Return a limit of three digits that the value meets, or None where there is none to be set."""
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


def check_classes(constraints: Constraints, classes: list[str]) -> None:
    """Raise UserError where a recall is asked of a class that the data does not have."""
    unknown = [name for name in constraints.min_recall if name not in classes]
    if unknown:
        known = listed(classes)
        raise UserError(f"constraints.min_recall: no class is called {', '.join(unknown)}; the data has {known}")


def findings(constraints: Constraints, strategy: dict[str, Any], timings: dict[str, Any]) -> list[Finding]:
    """Hold every limit that is set against a strategy of the comparison and its timings (any part may be missing)."""
    seconds = (timings.get("train") or {}).get("seconds_per_training")
    latency = ((timings.get("latency_ms") or {}).get("1") or {}).get("p50")
    accuracy = strategy["test"].get("accuracy")
    limits = [
        ("train_flops", constraints.train_flops, strategy["cost"]["train_flops"]),
        ("train_minutes", constraints.train_minutes, None if seconds is None else seconds / 60),
        ("latency_ms", constraints.latency_ms, latency),
        ("model_mb", constraints.model_mb, strategy["cost"]["model_bytes"] / 1e6),
    ]
    found = [Finding(key, limit, value) for key, limit, value in limits if limit is not None]
    if constraints.min_accuracy is not None:
        found.append(_scored("min_accuracy", constraints.min_accuracy, accuracy))
    for name, limit in sorted(constraints.min_recall.items()):
        found.append(_scored(f"min_recall.{name}", limit, strategy["classes"].get(name, {}).get("recall")))
    return found


def _scored(key: str, limit: float, estimate: dict[str, Any] | None) -> Finding:
    if estimate is None or estimate["mean"] is None:  # a class without images has no recall
        return Finding(key, limit, None)
    low, high = estimate["ci95"]
    return Finding(key, limit, estimate["mean"], (low, high))


def loosen(constraints: Constraints, found: list[Finding]) -> Constraints | None:
    """Return constraints that these findings meet, the others as they were; None where one was not measured."""
    changed: dict[str, Any] = {}
    recalls = dict(constraints.min_recall)
    for finding in (f for f in found if not f.met):
        kind, _, name = finding.key.partition(".")
        if finding.value is None:
            return None
        if not name:
            changed[kind] = finding.loosened()
        elif limit := finding.loosened():
            recalls[name] = limit
        else:
            del recalls[name]
    return constraints.model_copy(update={**changed, "min_recall": recalls})
