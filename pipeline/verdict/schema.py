"""What results/verdict.json holds: the recommendation, its reasons in sentences, and the claims."""

from typing import Any, Literal

from pydantic import ConfigDict, field_serializer

from pipeline.common.documents import Document
from pipeline.config.constraints import Constraints
from pipeline.statistics.recommendation import Recommendation

Outcome = Literal["supported", "contradicted", "inconclusive"]


class Claim(Document):
    """A common claim, checked against the results."""

    number: int  # from 1
    claim: str
    outcome: Outcome
    evidence: str


class Conclusion(Document):
    """The recommendation without constraints."""

    recommended: str
    significant: bool  # better than each other strategy
    sentence: str


class Verdict(Recommendation):
    """The recommendation under a user's constraints, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unconstrained: Conclusion
    constraints: Constraints
    admissible: tuple[str, ...]  # by name: strategies whose value, or mean, lies within every limit
    excluded: dict[str, tuple[str, ...]]  # the others, each with its reasons
    significant: bool  # better than each other admissible one; False where there is no other
    reason: str
    changes: tuple[str, ...]  # what would change the advice
    front: tuple[str, ...]  # the Pareto front of all strategies: test score against FLOPs of one training
    front_predict: tuple[str, ...]  # the same against FLOPs of one prediction
    claims: tuple[Claim, ...]
    claims_note: str  # which strategies the claims are about, where that is ambiguous

    @property
    def constrained(self) -> bool:
        """Return whether there are constraints."""
        return self.constraints != Constraints()

    @field_serializer("constraints")
    def _asked(self, constraints: Constraints) -> dict[str, Any]:
        return constraints.model_dump(exclude_defaults=True)
