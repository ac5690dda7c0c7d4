"""Eight common claims, each checked against the results."""

from collections.abc import Callable

from pipeline.config.recipe import FRESH, HEADS, TUNED, Kind
from pipeline.statistics.schema import Comparison
from pipeline.statistics.timings import Timings
from pipeline.verdict.claim_cases import Case, Finding, Missing, NotConcerned, Ratio
from pipeline.verdict.schema import Claim, Outcome
from pipeline.verdict.sentences.claims import WORDS, finding_sentence, missing_sentence

ABOUT = 2.0  # costs that differ by less than this factor are about the same

Graded = tuple[Outcome, Finding]  # and the number on which it rests
Rule = Callable[[Case], Graded]


def claims(comparison: Comparison, timings: Timings | None = None) -> list[Claim]:
    """Return each claim with its outcome, the number on which that rests, and its evidence.

    Timings are optional: without them outcomes rest on FLOPs alone, which are the same on every machine. An outcome is
    undecided only where nothing measured bears on the claim; it leans where what was measured is not significant, or
    is about a part of the claim alone.
    """
    case = Case(comparison, timings or {})
    found = []
    for number, (name, rule) in enumerate(RULES.items(), 1):
        text, evidence = WORDS[name]
        try:
            outcome, finding = rule(case)
            claim = Claim(number=number, claim=text, outcome=outcome, finding=finding_sentence(finding),
                          evidence=evidence(case))  # fmt: skip
        except Missing as missing:
            claim = Claim(number=number, claim=text, outcome="undecided", evidence=missing_sentence(missing),
                          finding="Nothing that was measured bears on it.")  # fmt: skip
        found.append(claim)
    return found


def _leaning(towards: bool) -> Outcome:
    return "leaning" if towards else "leaning against"


def _by_scores(case: Case, kind: Kind, other: Kind, applies: bool = True) -> Graded:
    """Grade a claim that a kind is better than another: by significance, else by the likelier of the two.

    Where it is not clear whether the claim applies, it leans at most.
    """
    chance = case.chance(kind, other)
    if applies and case.better(kind, other):
        return "supported", chance
    if applies and case.better(other, kind):
        return "contradicted", chance
    return _leaning(chance.probability >= 0.5), chance


def _frozen_is_cheapest(case: Case) -> Graded:
    """Supported: training takes the fewest FLOPs of the three kinds, and the fewest seconds where measured.

    Contradicted: another kind takes no more FLOPs. Leaning: FLOPs support the claim and seconds, measured once on one
    machine, do not; or a kind is missing and none of those present is cheaper.
    """
    case.need(HEADS)
    others = case.present(TUNED, FRESH) or case.need(TUNED, FRESH)
    cheapest = min(others, key=case.train)
    ratio = case.price(HEADS, cheapest)
    if case.train(cheapest) <= case.train(HEADS):
        return "contradicted", ratio
    seconds = [case.seconds(kind) for kind in (HEADS, *others)]
    known = [each for each in seconds if each is not None]
    quickest = len(known) < len(seconds) or known[0] == min(known)
    return "supported" if quickest and len(others) == 2 else "leaning", ratio


def _frozen_suffers_far_away(case: Case) -> Graded:
    """Applies where source and target are not related: pretrained features separate the classes no better than pixels.

    Supported: fine-tuning is significantly better than frozen. Contradicted: frozen is. Leaning: by the likelier, also
    where the relation is not clear. Undecided: they are related, where a loss has another reason.
    """
    case.need(HEADS, TUNED)
    if case.related:
        return "undecided", NotConcerned("related")
    return _by_scores(case, TUNED, HEADS, applies=case.related is False)


def _scratch_needs_more_computation(case: Case) -> Graded:
    """Supported: it takes more FLOPs to train than each pretrained approach. Contradicted: fewer than each, and none
    of these is significantly better. Leaning: more than one of them. Leaning against: fewer than each, but one of them
    is significantly better, so it did not reach the same score.

    The cost of pretraining is not counted.
    """  # fmt: skip
    case.need(FRESH)
    others = case.present(HEADS, TUNED) or case.need(HEADS, TUNED)
    own, (least, most) = case.train(FRESH), (end(others, key=case.train) for end in (min, max))
    to_most, to_least = (case.price(FRESH, kind) for kind in (most, least))
    if own > case.train(most):
        return "supported", to_most
    if own > case.train(least):
        return "leaning", to_least
    missed = own == case.train(least) or any(case.better(kind, FRESH) for kind in others)
    return "leaning against" if missed else "contradicted", to_least


def _scratch_wins_with_enough_data(case: Case) -> Graded:
    """Supported: with all images, scratch is significantly better. Contradicted: frozen is, and by the learning curves
    scratch does not catch up within their reach. Leaning: a crossing is predicted, or scratch is likelier the better.
    """  # fmt: skip
    case.need(FRESH, HEADS)
    crossing = case.crossover(FRESH, HEADS)
    outcome, chance = _by_scores(case, FRESH, HEADS)
    if outcome == "contradicted" and crossing.outcome != "never":
        outcome = "leaning against"
    if outcome == "leaning against" and crossing.overtaker == case.name(FRESH):
        outcome = "leaning"
    return outcome, chance


def _fine_tuning_costs_as_scratch(case: Case) -> Graded:
    """Applies to one model: the same backbone at the same image size.

    Supported: fine-tuning takes more FLOPs to train than frozen, and as many as scratch within a factor of ABOUT.
    Contradicted: either is not so. Leaning: the models differ, and costs in predictions of one image, which do not
    depend on the size of the network, are alike, or not.
    """
    case.need(HEADS, TUNED, FRESH)
    case = case.of_one_model(HEADS, TUNED, FRESH)
    tuned, fresh = case.train(TUNED), case.train(FRESH)
    if case.model(TUNED) == case.model(HEADS) and tuned <= case.train(HEADS):
        return "contradicted", case.price(TUNED, HEADS)
    if len({case.model(kind) for kind in (HEADS, TUNED, FRESH)}) > 1:
        ratio = tuned / case.cost(TUNED).predict_flops / max(fresh / case.cost(FRESH).predict_flops, 1e-9)
        counted = Ratio(case.name(TUNED), case.name(FRESH), ratio, "predictions of one image")
        return _leaning(1 / ABOUT <= ratio <= ABOUT), counted
    alike = max(tuned, fresh) <= ABOUT * min(tuned, fresh)
    return "supported" if alike else "contradicted", case.price(TUNED, FRESH)


def _fine_tuning_is_best_when_related(case: Case) -> Graded:
    """Applies where source and target are related: pretrained features separate the classes better than pixels do.

    Supported: fine-tuning is significantly better than frozen and than scratch. Contradicted: one of these is
    significantly better. Leaning: by the better of the two, also where one is missing or the relation is not clear.
    Undecided: they are not related.
    """
    case.need(TUNED)
    others = case.present(HEADS, FRESH) or case.need(HEADS, FRESH)
    if case.related is False:
        return "undecided", NotConcerned("not related")
    hardest = min(others, key=lambda kind: case.difference(TUNED, kind).p_better)
    sure = case.related is True and (len(others) == 2 or case.better(hardest, TUNED))
    outcome, chance = _by_scores(case, TUNED, hardest, applies=sure)
    if outcome == "supported" and not all(case.better(TUNED, kind) for kind in others):
        outcome = "leaning"
    return outcome, chance


def _compact_is_smaller_and_faster(case: Case) -> Graded:
    """Compares scratch with the better pretrained approach, if their backbones differ; of several from scratch, one
    with another backbone.

    Supported: its file is smaller, and a prediction takes fewer FLOPs and, where latency was measured, less time.
    Contradicted: it is not smaller, or a prediction takes no fewer FLOPs and no less time. Leaning: FLOPs and time
    disagree. Undecided: the backbone is the same.
    """
    case.need(FRESH)
    big = case.best(*(case.present(HEADS, TUNED) or case.need(HEADS, TUNED)))
    case = case.on_another_backbone(FRESH, big)
    if case.model(FRESH)[0] == case.model(big)[0]:
        return "undecided", NotConcerned("on the same backbone")
    size = case.cost(FRESH).model_bytes / case.cost(big).model_bytes
    names = case.name(FRESH), case.name(big)
    ratio = Ratio(*names, case.cost(FRESH).predict_flops / case.cost(big).predict_flops, "a prediction")
    if size >= 1:
        return "contradicted", Ratio(*names, size, "bytes")
    faster = {ratio.ratio < 1}
    quick, slow = case.latency(FRESH), case.latency(big)
    if quick is not None and slow is not None:
        faster.add(quick < slow)
    return ("leaning" if len(faster) == 2 else "supported" if faster == {True} else "contradicted"), ratio


def _rule_of_thumb(case: Case) -> Graded:
    """Check each part of the rule.

    Little: holds where frozen is the cheapest to train and, at the smallest measured size, no other is significantly
    better; fails otherwise. Enough: holds where, with all images, fine-tuning is significantly better than both; fails
    where frozen is significantly better than it. No related source: checked where source and target are not related,
    holds where scratch is significantly better than both, fails where a pretrained approach is significantly better
    than scratch. Much data: not checked; the evidence says where the curves of scratch and fine-tuning cross.
    Contradicted: a part fails. Supported: little holds, and so does enough or no related source. Else it leans by
    whether fine-tuning is likelier better than frozen.
    """
    case.need(HEADS, TUNED, FRESH)
    small, _ = case.smallest()
    others: list[Kind] = [TUNED, FRESH]
    ahead = [kind for kind in others if small.better(kind, HEADS)]
    cheapest = min(others, key=case.train)
    enough = all(case.better(TUNED, kind) for kind in (HEADS, FRESH))
    far = case.related is False
    pretrained: list[Kind] = [HEADS, TUNED]
    fails = [kind for kind in pretrained if far and case.better(kind, FRESH)]
    alone = far and all(case.better(FRESH, kind) for kind in (HEADS, TUNED))
    if case.train(HEADS) >= case.train(cheapest):
        return "contradicted", case.price(HEADS, cheapest)
    if ahead:
        return "contradicted", small.chance(ahead[0], HEADS, few=True)
    if case.better(HEADS, TUNED):
        return "contradicted", case.chance(HEADS, TUNED)
    if fails:
        return "contradicted", case.chance(fails[0], FRESH)
    chance = case.chance(TUNED, HEADS)
    return "supported" if enough or alone else _leaning(chance.probability >= 0.5), chance


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
