"""The verdict: advice with its reason, and the sentence that ends a run. Pure functions on the comparison."""

from typing import Any

from pipeline.config.constraints import Constraints
from pipeline.verdict.changes import changes
from pipeline.verdict.decision import NONE, Decision, decide
from pipeline.verdict.formatting import called, listed, score
from pipeline.verdict.limits import Finding
from pipeline.verdict.pairwise import (
    Comparison,
    Lead,
    cheapest,
    front,
    lead,
    ranked,
    recommend,
    told,
    train_flops,
    unbeaten,
)
from pipeline.verdict.phrases import chance, corrected, flops, gap, gap_interval, interval, times


def conclude(comparison: Comparison) -> dict[str, Any]:
    """Return what comparison.json says of all strategies, without constraints: recommended, told, verdict."""
    recommended = str(recommend(comparison))
    return {
        "recommended": recommended,
        "told": told(comparison, recommended, comparison["strategies"]),
        "verdict": sentence(comparison, recommended),
    }


def advise(
    comparison: Comparison, constraints: Constraints = NONE, timings: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return what results/verdict.json says, claims aside; UserError where a recall is asked of an unknown class.

    The fronts are of all strategies, whatever is asked of them: test score against the FLOPs of one training, and
    against those of one prediction. A strategy is admissible where its value, or mean, lies within every limit; what
    was not measured is not known to. `told` is False where the recommended one has nothing to be compared with.
    """
    decision = decide(comparison, constraints, timings)
    return {
        "constraints": constraints.model_dump(exclude_defaults=True),
        "front": front(decision.comparison),
        "front_predict": front(decision.comparison, "predict_flops"),
        "admissible": decision.admissible,
        "excluded": decision.excluded,
        "recommended": decision.recommended,
        "told": decision.told,
        "reason": reason(decision),
        "changes": changes(decision),
    }


def reason(decision: Decision) -> str:
    """Say in two sentences what is advised, and why."""
    if decision.recommended is None:
        opening = _opening(decision)
        return f"{opening}{'no' if opening else 'No'} strategy meets the constraints. {_nearest(decision)}."
    why = _why(decision) + "".join(map(_doubt, decision.findings[decision.recommended]))
    return f"{_opening(decision)}{why}. {_against(decision)}."


def _opening(decision: Decision) -> str:
    images, measured = decision.constraints.images, decision.sizes
    if images is None:
        return ""
    if not measured:
        return "No learning curve was measured; with all images, "
    if not decision.in_range:
        side, end = ("fewer", measured[0]) if images < measured[0] else ("more", measured[-1])
        return f"Nothing was measured with {side} than {end:,.0f} training images; with these, "
    between = "" if images in measured else " (between measured points)"
    return f"With {images:,.0f} training images{between}, "


def _why(decision: Decision) -> str:
    comparison, own, count = decision.comparison, str(decision.recommended), len(decision.admissible)
    level = unbeaten(comparison, decision.admissible)
    narrowed = count < len(comparison["strategies"])
    result = f"{_result(comparison, own)}, for {flops(train_flops(comparison, own))} of training"
    if count == 1:
        return f"{own} {'alone meets the constraints' if narrowed else 'is the only strategy compared'}: {result}"
    asked = " that meet the constraints" if narrowed else ""
    if told(comparison, own, decision.admissible):
        others = f"each of the {count - 1} others" if count > 2 else "the other one"
        return f"{own} is told better than {others}{asked.replace('meet', 'meets') if count == 2 else asked}: {result}"
    if own not in level:
        return f"{own} is best on validation, and each strategy is told worse than some other: {result}"
    whom = "no other of these is told to beat" if narrowed else "no other is told to beat"
    if len(level) == 1:
        return f"Of the {count} strategies{asked}, {own} is the one that {whom}: {result}"
    both = f"{asked} and that {whom}" if narrowed else f" that {whom}"
    return f"{own} is the cheapest to train of the {len(level)} strategies{both}: {result}"


def _result(comparison: Comparison, name: str) -> str:
    metric = comparison["metric"]
    found = comparison["strategies"][name]["test"][metric]
    return f"{called(metric)} {score(found['mean'], metric)} on test ({interval(found['ci95'], metric)})"


def _doubt(finding: Finding) -> str:
    if finding.lies != "across" or finding.ci95 is None:
        return ""
    low, limit = finding.show(finding.ci95[0], 0), finding.show(finding.limit, 0)
    return f"; its mean {finding.subject} meets the limit of {limit}, but the interval reaches down to {low}"


def _against(decision: Decision) -> str:
    """Say how the recommended one stands against the others."""
    comparison, own = decision.comparison, str(decision.recommended)
    others = [name for name in decision.admissible if name != own]
    if not others:
        return _left_out(decision)
    open_ = [name for name in others if not lead(comparison, own, name).told]
    next_best = ranked(comparison, open_ or others, "test")[0]
    found = lead(comparison, own, next_best)
    if not open_:
        return f"The next best, {next_best}, is {_standing(found, comparison)}, {_price(comparison, next_best, own)}"
    if lead(comparison, next_best, own).told:
        return f"On test {next_best} is {_standing(found, comparison)}, {_price(comparison, next_best, own)}"
    many = f"{len(open_)} others, of which {next_best}" if len(open_) > 1 else f"{next_best}, which"
    return f"It cannot be told from {many} is {_standing(found, comparison)}, {_price(comparison, next_best, own)}"


def _standing(found: Lead, comparison: Comparison) -> str:
    """Say how far the other one is behind or ahead; the interval is that of its own lead."""
    metric = comparison["metric"]
    if found.gain == 0:
        return "level with it"
    side = "behind" if found.gain > 0 else "ahead"
    ends = found.ci95 if found.gain > 0 else (-found.ci95[1], -found.ci95[0])
    size = gap(abs(found.gain), metric)
    return f"{size} {side} ({gap_interval(ends, metric)}; {corrected(found.p)})"


def _price(comparison: Comparison, name: str, own: str) -> str:
    return f"at {times(train_flops(comparison, name) / max(train_flops(comparison, own), 1))} its training FLOPs"


def _left_out(decision: Decision) -> str:
    if not decision.excluded:
        return "There is nothing to compare it with"
    best = ranked(decision.comparison, decision.excluded, "test")[0]
    return f"Of the others {best} is the best, and out: {'; '.join(decision.excluded[best])}"


def _nearest(decision: Decision) -> str:
    """Say which strategy needs the least loosening, and what it needs."""

    def effort(name: str) -> tuple[bool, int, float, str]:
        unmet = [f for f in decision.findings[name] if not f.met]
        excess = sum(_excess(f) for f in unmet)
        return any(f.value is None for f in unmet), len(unmet), excess, name

    name = min(decision.findings, key=effort)
    needed = listed([_mend(f) for f in decision.findings[name] if not f.met])
    return f"The nearest is {name}, with {_result(decision.comparison, name)}: {needed}"


def _excess(finding: Finding) -> float:
    """Return by which factor, above 1, a limit is missed."""
    if finding.value is None:
        return 0.0
    return finding.limit / max(finding.value, 1e-9) if finding.at_least else finding.value / finding.limit


def _mend(finding: Finding) -> str:
    if finding.value is None:
        return f"its {finding.subject} has to be measured first ({finding.key})"
    limit = finding.loosened()
    return f"drop {finding.key}" if limit is None else f"loosen {finding.key} to {finding.show(limit, 0)}"


def sentence(comparison: Comparison, recommended: str) -> str:
    """Say who is best on validation, whom it beats on test, what to use, and what that costs."""
    winner, strategies = comparison["winner"], comparison["strategies"]
    metric = comparison["metric"]
    best = strategies[winner]["test"][metric]
    scored = f"{score(best['mean'], metric)} ({interval(best['ci95'], metric)})"
    head = f"{winner} is best on validation; on test its {called(metric)} is {scored}"
    others = ranked(comparison, (name for name in strategies if name != winner), "test")
    if not others:
        return f"{head}. There is nothing to compare it with."
    leads = {name: lead(comparison, winner, name) for name in others}
    beaten = [name for name in others if leads[name].told]
    better = [name for name in others if lead(comparison, name, winner).told]
    even = [name for name in others if name not in beaten + better]
    parts = [
        f"it beats {_named(beaten, leads)}" if beaten else "",
        f"it cannot be told from {_named(even, leads)}" if even else "",
        f"there it is beaten by {_named(better, leads)}" if better else "",
    ]
    advice = f"Use {recommended}"
    if recommended != winner:
        advice += ", the cheapest to train that no other is told to beat"
    if better:
        advice = f"Validation and test disagree. {advice}"
    return f"{head}; {', '.join(filter(None, parts))}. {advice}: {_total(comparison, recommended)}."


def _named(names: list[str], leads: dict[str, Lead]) -> str:
    """List names with the winner's chance of beating each, or the range of these where there are many."""
    if len(names) <= 3:
        return listed([f"{name} ({chance(leads[name].chance)})" for name in names])
    ends = [chance(end(leads[name].chance for name in names)) for end in (min, max)]
    last = ends[1].removeprefix("P = ").removeprefix("P ")
    return f"{listed(names)} ({ends[0]}{f' to {last}' if ends[0] != ends[1] else ''})"


def _total(comparison: Comparison, name: str) -> str:
    cheap = cheapest(comparison, comparison["strategies"])
    price, least = train_flops(comparison, name), train_flops(comparison, cheap)
    if price <= least:
        return f"{flops(price)} of training, the least of all"
    return f"{flops(price)} of training, {times(price / max(least, 1))} that of {cheap}"
