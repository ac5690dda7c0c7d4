"""The axes of a search space: what values a key of a recipe may have, and which comes first."""

from typing import Any

from pydantic import model_validator

from pipeline.config.settings import Section

Value = bool | int | float | str


class Dimension(Section):
    """One axis of a search space: either `choices`, or `low` and `high`."""

    choices: tuple[Value, ...] | None = None
    low: float | None = None
    high: float | None = None
    log: bool = False
    default: Value | None = None  # the value that the first trial has

    @model_validator(mode="after")
    def _one_kind(self) -> "Dimension":
        ends = [end for end in (self.low, self.high) if end is not None]
        if len(ends) != (0 if self.choices else 2):
            raise ValueError("give either `choices: [...]` or both `low` and `high`")
        if ends and not ends[0] < ends[1]:
            raise ValueError(f"low ({ends[0]}) must be below high ({ends[1]})")
        if self.log and not (ends and ends[0] > 0):
            raise ValueError("a log scale needs low > 0")
        return self

    @model_validator(mode="after")
    def _holds_its_default(self) -> "Dimension":
        if self.default is None or (self.choices and self.default in self.choices):
            return self
        if self.choices:
            raise ValueError(f"default ({self.default}) must be one of the choices {list(self.choices)}")
        low, high = self.ends()
        if isinstance(self.default, str) or not low <= self.default <= high:
            raise ValueError(f"default ({self.default}) must be a number from low ({low}) to high ({high})")
        return self

    def ends(self) -> tuple[Any, ...]:
        """Return every choice, or both ends of the range."""
        return self.choices if self.choices else (self.low, self.high)

    def first(self) -> Any:
        """Return the default; without one, the first choice, or the middle of the range on its scale."""
        if self.default is not None:
            return self.default
        return self.choices[0] if self.choices else self.at(0.5)

    def at(self, share: float) -> Any:
        """Return the value that lies at a share in [0, 1) of the choices, or of the range on its scale."""
        if self.choices:
            return self.choices[int(share * len(self.choices))]
        low, high = self.ends()
        inside = low * (high / low) ** share if self.log else low + share * (high - low)
        return min(max(inside, low), high)
