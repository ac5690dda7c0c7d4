"""What is advised under a person's constraints: the rules, without the words."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from pipeline.config.constraints import Constraints
from pipeline.verdict.at_size import at_images, sizes, timings_at
from pipeline.verdict.limits import Finding, check_classes, findings
from pipeline.verdict.pairwise import Comparison, recommend, told

NONE = Constraints()


@dataclass(frozen=True)
class Decision:
    """Who is admissible and who is recommended, and from what this follows."""

    measured: Comparison  # with all training images
    constraints: Constraints
    timings: dict[str, Any]  # by strategy; any part may be missing

    @cached_property
    def comparison(self) -> Comparison:
        """Return the comparison with the images that there are."""
        images = self.constraints.images
        return self.measured if images is None else at_images(self.measured, images)

    @cached_property
    def sizes(self) -> list[int]:
        """Return the measured numbers of training images."""
        return sizes(self.measured)

    @property
    def in_range(self) -> bool:
        """Return whether the images that there are lie within the measured range."""
        images = self.constraints.images
        return images is None or (bool(self.sizes) and self.sizes[0] <= images <= self.sizes[-1])

    @cached_property
    def findings(self) -> dict[str, list[Finding]]:
        """Return what each strategy is like under each limit that is set."""
        timings = timings_at(self.timings, self.measured, self.comparison)
        strategies = self.comparison["strategies"]
        return {name: findings(self.constraints, strategies[name], timings.get(name) or {}) for name in strategies}

    @cached_property
    def admissible(self) -> list[str]:
        """Return, by name, the strategies that meet every limit: those whose value, or mean, lies within it."""
        return sorted(name for name, found in self.findings.items() if all(f.met for f in found))

    @property
    def excluded(self) -> dict[str, list[str]]:
        """Return by name why the other strategies are not admissible."""
        return {
            name: [f.reason() for f in self.findings[name] if not f.met]
            for name in sorted(self.findings.keys() - self.admissible)
        }

    @cached_property
    def recommended(self) -> str | None:
        """Return the cheapest to train of the admissible ones that no other of these is told to beat, or None."""
        return recommend(self.comparison, self.admissible)

    @property
    def told(self) -> bool:
        """Return whether the recommended one is told better than every other admissible one; False without another."""
        return self.recommended is not None and self.in_range and told(
            self.comparison, self.recommended, self.admissible
        )  # fmt: skip

    def under(self, constraints: Constraints) -> "Decision":
        """Return the decision under other constraints."""
        return replace(self, constraints=constraints)


def decide(comparison: Comparison, constraints: Constraints = NONE, timings: dict[str, Any] | None = None) -> Decision:
    """Return the decision; raise UserError where a recall is asked of a class that the data does not have."""
    check_classes(constraints, comparison["dataset"]["classes"])
    return Decision(comparison, constraints, timings or {})
