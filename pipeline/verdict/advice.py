"""The verdict: the recommendation with its reasons, and the claims. Pure functions of the comparison."""

from pipeline.config.constraints import Constraints
from pipeline.statistics.schema import Comparison
from pipeline.statistics.timings import Timings
from pipeline.verdict.changes import changes
from pipeline.verdict.claim_cases import Case
from pipeline.verdict.claims import claims
from pipeline.verdict.decision import NONE, Decision, decide
from pipeline.verdict.pairwise import pareto_front
from pipeline.verdict.schema import ArmStanding, Conclusion, Verdict
from pipeline.verdict.sentences.answers import answers, doubts
from pipeline.verdict.sentences.changes import change_sentence
from pipeline.verdict.sentences.claims import claims_note
from pipeline.verdict.sentences.limits import unmet_sentence


def conclude(comparison: Comparison) -> Conclusion:
    """Return the conclusion about all strategies, without constraints."""
    decision = decide(comparison)
    assert decision.recommended is not None
    return Conclusion(
        recommended=decision.recommended, significant=decision.significant, answers=answers(decision)
    )  # fmt: skip


def advise(comparison: Comparison, constraints: Constraints = NONE, timings: Timings | None = None) -> Verdict:
    """Return the verdict; raise UserError where a recall is asked of an unknown class.

    The Pareto fronts are of all strategies, whatever the constraints. What was not measured does not meet a limit.
    `timings` may lack strategies; the claims rest on FLOPs alone.
    """
    decision = decide(comparison, constraints, timings)
    return Verdict(
        unconstrained=conclude(comparison),
        constraints=constraints,
        admissible=tuple(decision.admissible),
        excluded={name: tuple(map(unmet_sentence, decision.unmet(name))) for name in decision.excluded},
        recommended=decision.recommended,
        significant=decision.significant,
        answers=answers(decision),
        standings=standings(decision),
        doubts=tuple(doubts(decision)),
        changes=tuple(change_sentence(change, decision) for change in changes(decision)),
        front=tuple(pareto_front(decision.comparison, "train_flops")),
        front_predict=tuple(pareto_front(decision.comparison, "predict_flops")),
        claims=tuple(claims(comparison)),
        claims_note=claims_note(Case(comparison, {})),
    )


def standings(decision: Decision) -> dict[str, ArmStanding]:
    """Return how each other admissible strategy compares with the recommended one."""
    own = decision.recommended
    return {} if own is None else {name: decision.belief.standing(name, own) for name in sorted(decision.rivals)}
