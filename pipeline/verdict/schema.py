"""What results/verdict.json holds: the recommendation, its reasons in sentences, and the claims."""

from typing import Any, Literal

from pydantic import ConfigDict, field_serializer

from pipeline.common.documents import Document
from pipeline.config.constraints import Constraints
from pipeline.statistics.recommendation import Recommendation

Outcome = Literal["supported", "leaning", "undecided", "leaning against", "contradicted"]
Decided = Literal["better", "equivalent", "worse"]
Word = Literal["better", "equivalent", "worse", "undecided"]


class Claim(Document):
    """A common claim, checked against the results."""

    number: int  # from 1
    claim: str
    outcome: Outcome
    finding: str  # a sentence with the number on which the outcome rests
    evidence: str


class MoreData(Document):
    """How many times the images compared on, or the seeds, would alone decide it; None: no realistic number."""

    test_images: float | None
    seeds: float | None


class ArmStanding(Document):
    """How a strategy compares with the recommended one, by the metric that decides."""

    standing: Word  # better or worse by more than matters, practically equivalent, or undecided
    likeliest: Decided
    probability: float  # of the likeliest
    gain: float  # expected, over the recommended one; more is better
    p_better: float  # than the recommended one
    loss: float  # expected, against the best
    decided_by: MoreData | None  # None: it is decided


class Answers(Document):
    """What the verdict says first, a sentence each."""

    use: str
    loses: str
    costs: str
    changes: str


class Conclusion(Document):
    """The recommendation without constraints."""

    recommended: str
    significant: bool  # better than each other strategy
    answers: Answers


class Verdict(Recommendation):
    """The recommendation under a user's constraints, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unconstrained: Conclusion
    constraints: Constraints
    answers: Answers
    standings: dict[str, ArmStanding]  # of each other admissible strategy
    excluded: dict[str, tuple[str, ...]]  # the others, each with its reasons
    significant: bool  # better than each other admissible one; False where there is no other
    doubts: tuple[str, ...]  # of limits that the recommended strategy meets, but not for certain
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
