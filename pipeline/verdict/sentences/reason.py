"""Why a strategy is recommended, in a few sentences."""

from pipeline.statistics.schema import Comparison
from pipeline.verdict.decision import Decision
from pipeline.verdict.formatting import called, flops, interval, listed, score
from pipeline.verdict.pairwise import paired_difference, standing, train_flops
from pipeline.verdict.sentences.difference import distance, price_ratio
from pipeline.verdict.sentences.limits import doubt_sentence, loosen_clause, unmet_sentence


def reason(decision: Decision) -> str:
    """Say which strategy is recommended, why, what it scores and costs, and how it compares with the next one."""
    opening = _opening(decision)
    if decision.recommended is None:
        first = f"{opening}no strategy meets the constraints." if opening else "No strategy meets the constraints."
        return f"{first} {_nearest(decision)}"
    result = _result(decision.comparison, decision.recommended)
    price = f"{flops(train_flops(decision.comparison, decision.recommended))} per training"
    doubts = filter(None, map(doubt_sentence, decision.checks[decision.recommended]))
    against = _alternative(decision)
    return " ".join([f"{opening}{_why(decision)}: {result}, {price}.", *doubts, *([against] if against else [])])


def _opening(decision: Decision) -> str:
    """Say with how many training images, where that is asked, and what there is to go by."""
    images, measured = decision.constraints.images, decision.sizes
    if images is None:
        return ""
    if len(measured) < 2 and not decision.in_range:
        return "No learning curve was measured; with all images, "
    if images < measured[0]:
        return f"The fewest training images measured are {measured[0]:,.0f}; with these, "
    if images > measured[-1]:
        return f"The most training images measured are {measured[-1]:,.0f}; with these, "
    if images in measured:
        return f"With {images:,.0f} training images, "
    return f"With {images:,.0f} training images (interpolated between measured sizes), "


def _why(decision: Decision) -> str:
    if len(decision.admissible) < len(decision.comparison.strategies):
        return _why_among_admissible(decision)
    own, count = decision.recommended, len(decision.admissible)
    if decision.basis == "alone":
        return f"{own} is the only strategy compared"
    if decision.basis == "better_than_all" and count == 2:
        return f"{own} is significantly better than {decision.rivals[0]}"
    if decision.basis == "better_than_all":
        return f"{own} is significantly better than each of the {count - 1} others"
    if decision.basis == "best_on_validation":
        return f"{own} has the best validation score, and each strategy is significantly worse than some other"
    if decision.basis == "unbeaten":
        return f"{own} is the only one of the {count} strategies that no other significantly outperforms"
    return (
        f"{own} is the cheapest to train of the {len(decision.unbeaten)} strategies that none significantly outperforms"
    )


def _why_among_admissible(decision: Decision) -> str:
    """Say why where some strategies do not meet the constraints."""
    own, count = decision.recommended, len(decision.admissible)
    if decision.basis == "alone":
        return f"{own} is the only strategy that meets the constraints"
    if decision.basis == "better_than_all" and count == 2:
        return f"{own} is significantly better than {decision.rivals[0]}, the only other that meets the constraints"
    if decision.basis == "better_than_all":
        return f"{own} is significantly better than each of the {count - 1} others that meet the constraints"
    if decision.basis == "best_on_validation":
        return (
            f"{own} has the best validation score of the {count} strategies that meet the constraints, and each of "
            "these is significantly worse than another"
        )
    if decision.basis == "unbeaten":
        return (
            f"{own} is the only one of the {count} strategies that meet the constraints that none of the others "
            "significantly outperforms"
        )
    return (
        f"{own} is the cheapest to train of the {len(decision.unbeaten)} strategies that meet the constraints and that "
        "no other of these significantly outperforms"
    )


def _result(comparison: Comparison, name: str) -> str:
    metric = comparison.metric
    found = comparison.strategies[name].test[metric]
    within = interval(found.ci, metric, comparison.confidence)
    return f"{called(metric)} {score(found.mean, metric)} on test ({within})"


def _alternative(decision: Decision) -> str:
    """Say how the best of the others compares with the recommended one; nothing where there are no others."""
    comparison, own, rivals = decision.comparison, str(decision.recommended), decision.rivals
    if not rivals:
        return _best_excluded(decision)
    name = rivals[0]
    found, ratio = paired_difference(comparison, own, name), price_ratio(comparison, name, own)
    away = distance(paired_difference(comparison, name, own), comparison)
    if found.significant:
        return f"The next best, {name}, is {away} and costs {ratio} to train."
    placed = standing(comparison, own, rivals)
    if name in placed.worse_than:
        return f"On test {name} is significantly better: it is {away} and costs {ratio} to train."
    if len(placed.tied_with) > 1:
        start = f"Its differences from {len(placed.tied_with)} others are not significant"
        if found.gain == 0:
            return f"{start}; the best of these, {name}, has the same score and costs {ratio} to train."
        return f"{start}; the best of these, {name}, is {away} and costs {ratio} to train."
    if found.gain == 0:
        return f"On test {name} has the same score and costs {ratio} to train."
    return f"The difference from {name} is not significant: {name} is {away} and costs {ratio} to train."


def _best_excluded(decision: Decision) -> str:
    if not decision.excluded:
        return ""
    best = decision.comparison.ranked(decision.excluded, "test")[0]
    reasons = "; ".join(map(unmet_sentence, decision.unmet(best)))
    return f"The best of those that do not is {best}: {reasons}."


def _nearest(decision: Decision) -> str:
    """Say which strategy needs the least loosening, and of which limits."""
    name = decision.nearest
    needed = listed(list(map(loosen_clause, decision.unmet(name))))
    return f"The nearest is {name}, with {_result(decision.comparison, name)}: {needed}."
