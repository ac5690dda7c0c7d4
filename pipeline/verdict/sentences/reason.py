"""Why a strategy is advised, in two sentences."""

from pipeline.statistics.schema import Comparison
from pipeline.verdict.decision import Decision
from pipeline.verdict.formatting import (
    called,
    corrected,
    flops,
    gap,
    gap_interval,
    interval,
    listed,
    score,
    times,
)
from pipeline.verdict.pairwise import PairedDifference, paired_difference, standing, train_flops
from pipeline.verdict.sentences.limits import doubt_clause, loosen_clause, unmet_sentence


def reason(decision: Decision) -> str:
    """Say in two sentences what is advised, and why."""
    if decision.recommended is None:
        opening = _opening(decision)
        return f"{opening}{'no' if opening else 'No'} strategy meets the constraints. {_nearest(decision)}."
    why = _why(decision) + "".join(map(doubt_clause, decision.checks[decision.recommended]))
    return f"{_opening(decision)}{why}. {_against(decision)}."


def _opening(decision: Decision) -> str:
    images, measured = decision.constraints.images, decision.sizes
    if images is None:
        return ""
    if not decision.in_range:
        if len(measured) < 2:
            return "No learning curve was measured; with all images, "
        side, end = ("fewer", measured[0]) if images < measured[0] else ("more", measured[-1])
        return f"Nothing was measured with {side} than {end:,.0f} training images; with these, "
    between = "" if images in measured else " (between measured points)"
    return f"With {images:,.0f} training images{between}, "


def _why(decision: Decision) -> str:
    own, count, basis = str(decision.recommended), len(decision.admissible), decision.basis
    narrowed = count < len(decision.comparison.strategies)
    result = f"{_result(decision.comparison, own)}, for {flops(train_flops(decision.comparison, own))} of training"
    asked = " that meet the constraints" if narrowed else ""
    whom = "no other of these is told to beat" if narrowed else "no other is told to beat"
    if basis == "alone":
        return f"{own} {'alone meets the constraints' if narrowed else 'is the only strategy compared'}: {result}"
    if basis == "better_than_all":
        others = f"each of the {count - 1} others" if count > 2 else "the other one"
        return f"{own} is told better than {others}{asked.replace('meet', 'meets') if count == 2 else asked}: {result}"
    if basis == "best_on_validation":
        return f"{own} is best on validation, and each strategy is told worse than some other: {result}"
    if basis == "unbeaten":
        return f"Of the {count} strategies{asked}, {own} is the one that {whom}: {result}"
    both = f"{asked} and that {whom}" if narrowed else f" that {whom}"
    return f"{own} is the cheapest to train of the {len(decision.unbeaten)} strategies{both}: {result}"


def _result(comparison: Comparison, name: str) -> str:
    metric = comparison.metric
    found = comparison.strategies[name].test[metric]
    within = interval(found.ci, metric, comparison.confidence)
    return f"{called(metric)} {score(found.mean, metric)} on test ({within})"


def _against(decision: Decision) -> str:
    """Say how the recommended one stands against the others."""
    comparison, own, rivals = decision.comparison, str(decision.recommended), decision.rivals
    if not rivals:
        return _left_out(decision)
    name = rivals[0]
    found, price = paired_difference(comparison, own, name), _price(comparison, name, own)
    there = f"is {_behind(found, comparison)}, {price}"
    if found.significant:
        return f"The next best, {name}, {there}"
    if standing(comparison, own, [name]).worse_than:
        return f"On test {name} {there}"
    many = f"{len(rivals)} others, of which {name}" if len(rivals) > 1 else f"{name}, which"
    return f"It cannot be told from {many} {there}"


def _behind(found: PairedDifference, comparison: Comparison) -> str:
    """Say how far the other one is behind or ahead; the interval is that of its own lead."""
    metric = comparison.metric
    if found.gain == 0:
        return "level with it"
    side = "behind" if found.gain > 0 else "ahead"
    ends = found.ci if found.gain > 0 else (-found.ci[1], -found.ci[0])
    size = gap(abs(found.gain), metric)
    return f"{size} {side} ({gap_interval(ends, metric, comparison.confidence)}; {corrected(found.p_adjusted)})"


def _price(comparison: Comparison, name: str, own: str) -> str:
    return f"at {times(train_flops(comparison, name) / max(train_flops(comparison, own), 1))} its training FLOPs"


def _left_out(decision: Decision) -> str:
    if not decision.excluded:
        return "There is nothing to compare it with"
    best = decision.comparison.ranked(decision.excluded, "test")[0]
    reasons = "; ".join(map(unmet_sentence, decision.unmet(best)))
    return f"Of the others {best} is the best, and out: {reasons}"


def _nearest(decision: Decision) -> str:
    """Say which strategy needs the least loosening, and what it needs."""
    name = decision.nearest
    needed = listed(list(map(loosen_clause, decision.unmet(name))))
    return f"The nearest is {name}, with {_result(decision.comparison, name)}: {needed}"
