"""Eight common claims, each checked against the results."""

from collections.abc import Callable

from pipeline.config.recipe import FRESH, HEADS, TUNED
from pipeline.statistics.schema import Comparison
from pipeline.statistics.timings import Timings
from pipeline.verdict.claim_cases import Case, Missing
from pipeline.verdict.schema import Claim, Outcome
from pipeline.verdict.sentences.claims import WORDS, missing_sentence

ABOUT = 2.0  # costs that differ by less than this factor are about the same

Rule = Callable[[Case], Outcome]


def claims(comparison: Comparison, timings: Timings | None = None) -> list[Claim]:
    """Return each claim with its outcome and its evidence.

    Timings are optional: without them outcomes rest on FLOPs alone, which are the same on every machine.
    """
    case = Case(comparison, timings or {})
    found = []
    for number, (name, rule) in enumerate(RULES.items(), 1):
        text, evidence = WORDS[name]
        try:
            claim = Claim(number=number, claim=text, outcome=rule(case), evidence=evidence(case))
        except Missing as missing:
            claim = Claim(number=number, claim=text, outcome="inconclusive", evidence=missing_sentence(missing))
        found.append(claim)
    return found


def _outcome(supported: bool, contradicted: bool) -> Outcome:
    """Return an outcome; supported where both hold."""
    return "supported" if supported else "contradicted" if contradicted else "inconclusive"


def _frozen_is_cheapest(case: Case) -> Outcome:
    """Supported: training takes the fewest FLOPs of the three kinds, and the fewest seconds where measured.

    Contradicted: another kind takes no more FLOPs. Inconclusive: FLOPs support the claim and seconds, measured once on
    one machine, do not; or a kind is missing and none of those present is cheaper.
    """
    case.need(HEADS)
    others = case.present(TUNED, FRESH) or case.need(TUNED, FRESH)
    if any(case.train(kind) <= case.train(HEADS) for kind in others):
        return "contradicted"
    case.need(TUNED, FRESH)
    seconds = [case.seconds(kind) for kind in (HEADS, TUNED, FRESH)]
    known = [each for each in seconds if each is not None]
    return _outcome(len(known) < len(seconds) or known[0] == min(known), False)


def _frozen_suffers_far_away(case: Case) -> Outcome:
    """Applies where source and target are not related: pretrained features separate the classes no better than pixels.

    Supported: fine-tuning is significantly better than frozen. Contradicted: frozen is significantly better.
    Inconclusive: neither is; or source and target are related, where a loss has another reason; or the relation is not
    clear. A single data set shows no trend over domains, and the evidence says so.
    """
    case.need(HEADS, TUNED)
    if case.related is not False:
        return "inconclusive"
    return _outcome(case.better(TUNED, HEADS), case.better(HEADS, TUNED))


def _scratch_needs_more_computation(case: Case) -> Outcome:
    """Supported: it takes more FLOPs to train than each pretrained approach. Contradicted: fewer than each, and none
    of these is significantly better. Inconclusive: otherwise, since with fewer FLOPs it did not reach the same score.

    The cost of pretraining is not counted.
    """  # fmt: skip
    case.need(FRESH)
    others = case.present(HEADS, TUNED) or case.need(HEADS, TUNED)
    own = case.train(FRESH)
    none_is_better = not any(case.better(kind, FRESH) for kind in others)
    less = none_is_better and all(own < case.train(kind) for kind in others)
    return _outcome(all(own > case.train(kind) for kind in others), less)


def _scratch_wins_with_enough_data(case: Case) -> Outcome:
    """Supported: with all images, scratch is significantly better. Contradicted: frozen is, and by the learning curves
    scratch does not catch up within their reach. Inconclusive: otherwise; a predicted crossing beyond the data has not
    been observed.
    """  # fmt: skip
    case.need(FRESH, HEADS)
    never = case.crossover(FRESH, HEADS).outcome == "never" and case.better(HEADS, FRESH)
    return _outcome(case.better(FRESH, HEADS), never)


def _fine_tuning_costs_as_scratch(case: Case) -> Outcome:
    """Applies to one model: the same backbone at the same image size.

    Supported: fine-tuning takes more FLOPs to train than frozen, and as many as scratch within a factor of ABOUT.
    Contradicted: either is not so. Inconclusive: the models differ. Then the evidence gives the costs in predictions
    of one image, which do not depend on the size of the network.
    """
    case.need(HEADS, TUNED, FRESH)
    case = case.of_one_model(HEADS, TUNED, FRESH)
    tuned, fresh = case.train(TUNED), case.train(FRESH)
    if case.model(TUNED) == case.model(HEADS) and tuned <= case.train(HEADS):
        return "contradicted"
    if len({case.model(kind) for kind in (HEADS, TUNED, FRESH)}) > 1:
        return "inconclusive"
    return _outcome(max(tuned, fresh) <= ABOUT * min(tuned, fresh), True)


def _fine_tuning_is_best_when_related(case: Case) -> Outcome:
    """Applies where source and target are related: pretrained features separate the classes better than pixels do.

    Supported: fine-tuning is significantly better than frozen and than scratch. Contradicted: one of these is
    significantly better. Inconclusive: otherwise.
    """
    case.need(TUNED)
    others = case.present(HEADS, FRESH) or case.need(HEADS, FRESH)
    if not case.related:
        return "inconclusive"
    if any(case.better(kind, TUNED) for kind in others):
        return "contradicted"
    case.need(HEADS, FRESH)
    return _outcome(all(case.better(TUNED, kind) for kind in others), False)


def _compact_is_smaller_and_faster(case: Case) -> Outcome:
    """Compares scratch with the better pretrained approach, if their backbones differ; of several from scratch, one
    with another backbone.

    Supported: its file is smaller, and a prediction takes fewer FLOPs and, where latency was measured, less time.
    Contradicted: it is not smaller, or a prediction takes no fewer FLOPs and no less time. Inconclusive: the backbone
    is the same, or FLOPs and time disagree.
    """
    case.need(FRESH)
    big = case.best(*(case.present(HEADS, TUNED) or case.need(HEADS, TUNED)))
    case = case.on_another_backbone(FRESH, big)
    if case.model(FRESH)[0] == case.model(big)[0]:
        return "inconclusive"
    if case.cost(FRESH).model_bytes >= case.cost(big).model_bytes:
        return "contradicted"
    faster = {case.cost(FRESH).predict_flops < case.cost(big).predict_flops}
    quick, slow = case.latency(FRESH), case.latency(big)
    if quick is not None and slow is not None:
        faster.add(quick < slow)
    return _outcome(faster == {True}, faster == {False})


def _rule_of_thumb(case: Case) -> Outcome:
    """Check each part of the rule.

    Little: holds where frozen is the cheapest to train and, at the smallest measured size, no other is significantly
    better; fails otherwise. Enough: holds where, with all images, fine-tuning is significantly better than both; fails
    where frozen is significantly better than it. No related source: checked where source and target are not related,
    holds where scratch is significantly better than both, fails where a pretrained approach is significantly better
    than scratch. Much data: not checked; the evidence says where the curves of scratch and fine-tuning cross.
    Contradicted: a part fails. Supported: little holds, and so does enough or no related source. Else inconclusive.
    """
    case.need(HEADS, TUNED, FRESH)
    small, _ = case.smallest()
    ahead = any(small.better(kind, HEADS) for kind in (TUNED, FRESH))
    cheap = all(case.train(HEADS) < case.train(kind) for kind in (TUNED, FRESH))
    enough = all(case.better(TUNED, kind) for kind in (HEADS, FRESH))
    far = case.related is False
    fails = far and any(case.better(kind, FRESH) for kind in (HEADS, TUNED))
    alone = far and all(case.better(FRESH, kind) for kind in (HEADS, TUNED))
    wrong = not cheap or ahead or case.better(HEADS, TUNED) or fails
    return _outcome(not wrong and (enough or alone), wrong)


RULES: dict[str, Rule] = {  # in the order of their numbers; `sentences.claims.WORDS` has their wording
    "frozen_is_cheapest": _frozen_is_cheapest,
    "frozen_suffers_far_away": _frozen_suffers_far_away,
    "scratch_needs_more_computation": _scratch_needs_more_computation,
    "scratch_wins_with_enough_data": _scratch_wins_with_enough_data,
    "fine_tuning_costs_as_scratch": _fine_tuning_costs_as_scratch,
    "fine_tuning_is_best_when_related": _fine_tuning_is_best_when_related,
    "compact_is_smaller_and_faster": _compact_is_smaller_and_faster,
    "rule_of_thumb": _rule_of_thumb,
}
