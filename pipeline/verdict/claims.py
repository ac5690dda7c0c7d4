"""What people say, on your data: eight common claims, each held against what was measured."""

from collections.abc import Callable
from typing import Any

from pipeline.verdict.claim_cases import (
    CANNOT,
    CONTRADICTED,
    FRESH,
    HEADS,
    SUPPORTED,
    TUNED,
    WHAT,
    Case,
    Finding,
    Missing,
)
from pipeline.verdict.formatting import duration, listed, quantity
from pipeline.verdict.pairwise import Comparison
from pipeline.verdict.phrases import flops, gap, megabytes, milliseconds, times

ABOUT = 2.0  # costs that differ by less than this factor are about the same

Rule = Callable[[Case], Finding]
CLAIMS: list[tuple[str, Rule]] = []


def claims(comparison: Comparison, timings: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """Return each claim with its number, its outcome (supported, contradicted, cannot be told here) and its evidence.

    Timings are optional: with none the outcome rests on FLOPs alone, which are the same on every machine.
    """
    case = Case(comparison, timings or {})
    found = []
    for number, (claim, rule) in enumerate(CLAIMS, 1):
        try:
            outcome, evidence = rule(case)
        except Missing as missing:
            outcome, evidence = CANNOT, str(missing)
        found.append({"number": number, "claim": claim, "outcome": outcome, "evidence": evidence})
    return found


def note(comparison: Comparison) -> str:
    """Say which strategies the claims are about where there are several of a kind; else nothing."""
    return Case(comparison, {}).note()


def _claim(text: str) -> Callable[[Rule], Rule]:
    def add(rule: Rule) -> Rule:
        CLAIMS.append((text, rule))
        return rule

    return add


@_claim("A frozen backbone with a small head is the quickest and cheapest to train.")
def _cheapest(case: Case) -> Finding:
    """Supported: its training takes the fewest FLOPs of the three, and the fewest seconds where these were measured.

    Contradicted: another takes as few FLOPs or fewer. Cannot be told: FLOPs say yes and seconds no, since seconds
    were taken once on one machine; or a kind is missing and nothing that is there is cheaper.
    """
    case.need(HEADS)
    others = case.present(TUNED, FRESH) or case.need(TUNED, FRESH)
    own, seconds = case.train(HEADS), [case.seconds(kind) for kind in (HEADS, *others)]
    costs = [f"{case.name(kind)} takes {case.compared(kind, HEADS)}" for kind in others]
    evidence = f"{case.name(HEADS)} takes {flops(own)} to train; {', '.join(costs)}."
    evidence += f" With features that are stored already it takes {flops(case.cost(HEADS, 'fit_flops'))}."
    known = [s for s in seconds if s is not None]
    quickest = len(known) < len(seconds) or known[0] == min(known)
    if len(known) == len(seconds):
        evidence += f" One training took {listed([duration(s) for s in known])} in that order."
    if any(case.train(kind) <= own for kind in others):
        return CONTRADICTED, evidence
    case.need(TUNED, FRESH)
    return (SUPPORTED if quickest else CANNOT), evidence


@_claim("A frozen backbone's accuracy suffers when source and target domains differ.")
def _suffers(case: Case) -> Finding:
    """Speaks where the source is far: where pretrained features separate the classes no better than pixels do.

    Then supported: fine-tuning is told better than frozen. Contradicted: frozen is told better. Cannot be told:
    neither is; or the source is near, since a loss there has another reason; or the distance is not clear. One data
    set is one point: it shows no trend over domains, and the evidence says so.
    """
    case.need(HEADS, TUNED)
    evidence = f"{case.standing(TUNED, HEADS)} {case.distance()} One data set cannot show a trend over domains."
    if case.related() is not False:
        return CANNOT, evidence
    return case.outcome(case.better(TUNED, HEADS), case.better(HEADS, TUNED)), evidence


@_claim("Training from scratch needs more computation.")
def _more_computation(case: Case) -> Finding:
    """Supported: it takes more FLOPs to train than each pretrained approach. Contradicted: fewer than each, and none
    of these is told better. Cannot be told: otherwise, since with fewer FLOPs it did not reach the same score.

    The pretraining, which somebody else has paid for, is not counted.
    """  # fmt: skip
    case.need(FRESH)
    others = case.present(HEADS, TUNED) or case.need(HEADS, TUNED)
    own = case.train(FRESH)
    costs = [f"{case.name(kind)} takes {case.compared(kind, FRESH)}" for kind in others]
    told = [case.name(kind) for kind in others if case.better(kind, FRESH)]
    evidence = f"{case.name(FRESH)} takes {flops(own)} to train; {', '.join(costs)}."
    evidence += f" Told better than {case.name(FRESH)}: {listed(told)}." if told else ""
    evidence += " The pretraining of the others is not counted."
    more = all(own > case.train(kind) for kind in others)
    return case.outcome(more, not told and all(own < case.train(kind) for kind in others)), evidence


@_claim("With enough data, training from scratch beats a frozen backbone.")
def _enough_data(case: Case) -> Finding:
    """Supported: with all images, scratch is told better. Contradicted: frozen is told better, and the learning
    curves say that scratch does not catch up within their reach. Cannot be told: otherwise; a crossing that the curves
    foretell beyond the data has not been seen.
    """  # fmt: skip
    case.need(FRESH, HEADS)
    crossing = case.crossing(FRESH, HEADS)
    never = crossing is not None and crossing["outcome"] == "never" and case.better(HEADS, FRESH)
    return case.outcome(case.better(FRESH, HEADS), never), f"{case.standing(FRESH, HEADS)} {case.curves(FRESH, HEADS)}"


@_claim("Fine-tuning costs more than a frozen backbone, and about the same as scratch for the same model.")
def _fine_tuning_costs(case: Case) -> Finding:
    """Speaks of one model: the same backbone at the same image size.

    Supported: fine-tuning takes more FLOPs to train than frozen, and scratch as many within a factor of ABOUT.
    Contradicted: either is not so. Cannot be told: the models differ. Then the evidence has the costs in passes of
    one image through each network, for which the size of the network does not matter.
    """
    case.need(HEADS, TUNED, FRESH)
    case = case.of_one_model(HEADS, TUNED, FRESH)
    tuned, fresh = case.train(TUNED), case.train(FRESH)
    evidence = (f"{case.name(TUNED)} takes {flops(tuned)} to train; {case.name(HEADS)} takes "
                f"{case.compared(HEADS, TUNED)}, {case.name(FRESH)} {case.compared(FRESH, TUNED)}.")  # fmt: skip
    dearer = tuned > case.train(HEADS)
    if case.model(TUNED) == case.model(HEADS) and not dearer:
        return CONTRADICTED, evidence
    models = {case.model(kind) for kind in (HEADS, TUNED, FRESH)}
    if len(models) == 1:
        return case.outcome(max(tuned, fresh) <= ABOUT * min(tuned, fresh), True), evidence
    passes = [f"{case.name(kind)} {case.train(kind) / case.cost(kind, 'predict_flops'):,.0f}" for kind in WHAT]
    networks = listed([f"{case.name(kind)} {' at '.join(map(str, case.model(kind)))} pixels" for kind in WHAT])
    return (
        CANNOT,
        f"{evidence} The models differ ({networks}). In predictions of one image, training costs {listed(passes)}.",
    )


@_claim("Fine-tuning is best when source and target are related.")
def _best_when_related(case: Case) -> Finding:
    """Speaks where the source is near: where pretrained features separate the classes better than pixels do.

    Then supported: fine-tuning is told better than frozen and than scratch. Contradicted: one of these is told
    better. Cannot be told: otherwise.
    """
    case.need(TUNED)
    others = case.present(HEADS, FRESH) or case.need(HEADS, FRESH)
    evidence = " ".join([*(case.standing(TUNED, kind) for kind in others), case.distance()])
    if not case.related():
        return CANNOT, evidence
    if any(case.better(kind, TUNED) for kind in others):
        return CONTRADICTED, evidence
    case.need(HEADS, FRESH)
    return case.outcome(all(case.better(TUNED, kind) for kind in others), False), evidence


@_claim("A compact network from scratch is smaller and faster than a big pretrained one.")
def _compact(case: Case) -> Finding:
    """Compares scratch with the better pretrained approach, if the backbones differ; of several from scratch, one
    with another backbone.

    Supported: its file is smaller, it takes fewer FLOPs to predict, and less time where latency was measured.
    Contradicted: it is not smaller, or it takes as many FLOPs and no less time. Cannot be told: the same backbone, or
    FLOPs and time disagree.
    """
    case.need(FRESH)
    big = case.best(*(case.present(HEADS, TUNED) or case.need(HEADS, TUNED)))
    case = case.on_another_backbone(FRESH, big)
    small_mb, big_mb = (case.cost(kind, "model_bytes") / 1e6 for kind in (FRESH, big))
    less, more = (case.cost(kind, "predict_flops") for kind in (FRESH, big))
    evidence = " and ".join(
        f"{case.name(kind)} ({case.model(kind)[0]}) has {quantity(case.cost(kind, 'parameters')).strip()} parameters, "
        f"{megabytes(size)}, {flops(cost)} per prediction"
        for kind, size, cost in ((FRESH, small_mb, less), (big, big_mb, more))
    )
    evidence += "."
    faster = {less < more}
    quick, slow = case.latency(FRESH), case.latency(big)
    if quick is not None and slow is not None:
        evidence += f" One image takes {milliseconds(quick)} against {milliseconds(slow)}."
        faster.add(quick < slow)
    evidence += f" {case.standing(FRESH, big)}"
    if case.model(FRESH)[0] == case.model(big)[0]:
        return CANNOT, f"The best recipe from scratch has the same backbone. {evidence}"
    if small_mb >= big_mb:
        return CONTRADICTED, evidence
    return case.outcome(faster == {True}, faster == {False}), evidence


@_claim("With little time or compute: frozen; with enough: fine-tune; with no related source or much data: scratch.")
def _rule_of_thumb(case: Case) -> Finding:
    """Put the rule together from its parts.

    Little: frozen is the cheapest to train, and with the fewest images measured no other is told better. Enough: with
    all images, fine-tuning is told better than both; it fails where frozen is told better than it. No related source:
    tested where the source is far, it fails where a pretrained approach is told better than scratch, and holds where
    scratch is told better than both. Much data: what the curves say of scratch and fine-tuning is evidence, not tested.
    Contradicted: a part fails. Supported: little and enough hold, or little and no related source. Else it cannot be
    told.
    """
    case.need(HEADS, TUNED, FRESH)
    small, images = case.smallest()
    ahead = [kind for kind in (TUNED, FRESH) if small.better(kind, HEADS)]
    cheap = all(case.train(HEADS) < case.train(kind) for kind in (TUNED, FRESH))
    enough = all(case.better(TUNED, kind) for kind in (HEADS, FRESH))
    far = case.related() is False
    fails = far and any(case.better(kind, FRESH) for kind in (HEADS, TUNED))
    alone = far and all(case.better(FRESH, kind) for kind in (HEADS, TUNED))
    little = f"With {images:,.0f} images {_leaders(small, ahead)}, at {flops(small.train(HEADS))} of training."
    parts = [little, case.standing(TUNED, HEADS), case.standing(TUNED, FRESH), case.distance(),
             case.curves(FRESH, TUNED)]  # fmt: skip
    wrong = not cheap or bool(ahead) or case.better(HEADS, TUNED) or fails
    return case.outcome(not wrong and (enough or alone), wrong), " ".join(filter(None, parts))


def _leaders(small: Case, ahead: list[str]) -> str:
    own = small.name(HEADS)
    if ahead:
        leads = [f"{small.name(k)} by {gap(small.lead(k, HEADS).gain, small.metric)}" for k in ahead]
        return f"{listed(leads)} told better than {own}"
    ratios = [times(small.train(kind) / max(small.train(HEADS), 1)) for kind in (TUNED, FRESH)]
    names = listed([small.name(kind) for kind in (TUNED, FRESH)])
    return f"none is told better than {own}; {names} cost {listed(ratios)} as much"
