"""Which strategy is recommended under a user's constraints: the rules, without their wording."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from pipeline.config.constraints import Constraints
from pipeline.statistics.schema import Comparison
from pipeline.statistics.timings import Timings
from pipeline.verdict.at_size import at_images, sizes, timings_at
from pipeline.verdict.limits import LimitCheck, check_classes, check_limits
from pipeline.verdict.pairwise import significantly_better
from pipeline.verdict.rule import Belief, belief

NONE = Constraints()

# Why a strategy is recommended. alone: no other is admissible. within_worth: of those expected to lose no more than
# matters, it is the cheapest to train. only_within: it is the only such one. loses_least: there is none.
Basis = Literal["alone", "within_worth", "only_within", "loses_least"]


@dataclass(frozen=True)
class Decision:
    """Which strategies are admissible, which one is recommended, and why."""

    measured: Comparison  # with all training images
    constraints: Constraints
    timings: Timings

    @cached_property
    def comparison(self) -> Comparison:
        """Return the comparison at the number of images that the constraints ask for."""
        images = self.constraints.images
        return self.measured if images is None else at_images(self.measured, images)

    @cached_property
    def sizes(self) -> list[int]:
        """Return the measured numbers of training images."""
        return sizes(self.measured)

    @property
    def in_range(self) -> bool:
        """Return whether the number of images lies within the measured range."""
        images = self.constraints.images
        return images is None or self.sizes[0] <= images <= self.sizes[-1]

    @cached_property
    def checks(self) -> dict[str, list[LimitCheck]]:
        """Return each strategy checked against each limit that is set."""
        timings = timings_at(self.timings, self.measured, self.comparison)
        strategies = self.comparison.strategies
        return {name: check_limits(self.constraints, strategies[name], timings.get(name)) for name in strategies}

    def unmet(self, name: str) -> list[LimitCheck]:
        """Return the limits that a strategy does not meet."""
        return [check for check in self.checks[name] if not check.met]

    @cached_property
    def admissible(self) -> list[str]:
        """Return, by name, the strategies that meet every limit: those whose value, or mean, lies within it."""
        return sorted(name for name in self.checks if not self.unmet(name))

    @property
    def excluded(self) -> list[str]:
        """Return, by name, the strategies that miss a limit."""
        return sorted(self.checks.keys() - self.admissible)

    @cached_property
    def recommended(self) -> str | None:
        """Return the strategy to use of the admissible ones; None where there is none."""
        return self.belief.recommended if self.admissible else None

    @cached_property
    def belief(self) -> Belief:
        """Return what is believed of the admissible strategies."""
        return belief(self.comparison, self.admissible)

    @property
    def significant(self) -> bool:
        """Return whether the recommended strategy is significantly better than every other admissible one."""
        return self.recommended is not None and self.in_range and significantly_better(
            self.comparison, self.recommended, self.admissible
        )  # fmt: skip

    @property
    def basis(self) -> Basis:
        """Return why the recommended strategy is recommended."""
        if len(self.admissible) == 1:
            return "alone"
        losses, worth = self.belief.losses, self.comparison.worth
        within = [name for name in self.admissible if losses[name] <= worth]
        if self.recommended not in within:
            return "loses_least"
        return "only_within" if len(within) == 1 else "within_worth"

    @property
    def rivals(self) -> list[str]:
        """Return the other admissible strategies, the one expected to be the best first."""
        losses = self.belief.losses
        return sorted((n for n in self.admissible if n != self.recommended), key=lambda name: (losses[name], name))

    @property
    def nearest(self) -> str:
        """Return the strategy whose limits need the least loosening; one that was not measured comes last."""

        def effort(name: str) -> tuple[bool, int, float, str]:
            unmet = self.unmet(name)
            return any(c.value is None for c in unmet), len(unmet), sum(c.excess for c in unmet), name

        return min(self.checks, key=effort)

    def under(self, constraints: Constraints) -> "Decision":
        """Return the decision under other constraints."""
        return replace(self, constraints=constraints)


def decide(comparison: Comparison, constraints: Constraints = NONE, timings: Timings | None = None) -> Decision:
    """Return the decision; raise UserError where a recall is asked of a class that the data does not have."""
    check_classes(constraints, comparison.dataset.classes)
    return Decision(comparison, constraints, timings or {})
