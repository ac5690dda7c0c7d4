"""What would change the advice: more images, looser limits, another view of cost."""

from typing import Any

from pipeline.config.metric_names import LOWER_IS_BETTER
from pipeline.verdict.decision import Decision
from pipeline.verdict.formatting import called, listed, score, signed, unit
from pipeline.verdict.limits import Finding, loosen
from pipeline.verdict.pairwise import Lead, cheapest, lead, overtaker, ranked, train_flops
from pipeline.verdict.phrases import apart, chance, flops, gap, gap_interval, rough, times


def changes(decision: Decision) -> list[str]:
    """Return sentences on what would change the advice, every number computed."""
    if decision.recommended is None:
        return _loosening(decision)
    return [*_more_images(decision), *_fewer_images(decision), *_loosening(decision), *_other_costs(decision)]


def _more_images(decision: Decision) -> list[str]:
    """Say where another admissible strategy overtakes the recommended one, or was overtaken by it."""
    own, found = str(decision.recommended), []
    for crossing in decision.measured.get("crossovers", ()):
        names = (crossing["a"], crossing["b"])
        other = names[names[0] == own]
        if own not in names or other not in decision.admissible or not decision.sizes:
            continue
        here = decision.constraints.images or decision.sizes[-1]
        if here > decision.sizes[-1]:
            found.append(f"Learning curves: {crossing['sentence'].rstrip('.')}.")
        elif crossing["images"] is not None:
            found += _crossed(own, other, here, crossing, overtaker(decision.measured, crossing))
    return found


def _crossed(own: str, other: str, here: float, crossing: dict[str, Any], ahead_after: str) -> list[str]:
    if crossing["images"] > here and ahead_after == other:
        factor = times(crossing["images"] / here)
        return [f"With {factor} the images ({_where(crossing)}) {other} would be level with {own}."]
    if crossing["images"] < here and ahead_after == own:
        return [f"With fewer images ({_where(crossing)}) {other} would be level with {own}, with fewer still ahead."]
    return []


def _where(crossing: dict[str, Any]) -> str:
    text, ends = f"about {rough(crossing['images'])}", crossing["ci95"]
    return f"{text}; 95 %: {rough(ends[0])} to {rough(ends[1])}" if ends and None not in ends else text


def _fewer_images(decision: Decision) -> list[str]:
    """Say at which smaller measured size the advice is another one first."""
    if decision.constraints.images is not None:
        return []
    for images in reversed(decision.sizes[:-1]):
        other = decision.under(decision.constraints.model_copy(update={"images": images})).recommended
        if other not in (None, decision.recommended):
            return [f"With {images:,.0f} training images the advice would be {other}."]
    return []


def _loosening(decision: Decision) -> list[str]:
    """Say which limits, loosened, would bring in a strategy that is then recommended, or ahead."""
    comparison, found = decision.comparison, []
    metric, own = comparison["metric"], decision.recommended
    shut_out = [name for name in comparison["strategies"] if name not in decision.admissible]
    for name in ranked(comparison, shut_out, "test"):
        looser = loosen(decision.constraints, decision.findings[name])
        if looser is None:
            continue
        recommended = decision.under(looser).recommended == name
        if own is None:
            mean = comparison["strategies"][name]["test"][metric]["mean"]
            text = f"{name}, at {called(metric)} {score(mean, metric)}" if recommended else ""
        else:
            text = _instead(decision, name, own, recommended)
        if text:
            found.append(f"If {listed([_allowed(f) for f in decision.findings[name] if not f.met])}: {text}.")
    return found


def _allowed(finding: Finding) -> str:
    limit = finding.loosened()
    if limit is None:
        return f"the {finding.subject} did not matter"
    new, old = apart(limit, finding.limit, finding.show)
    return f"{finding.phrase(new)} were {'enough' if finding.at_least else 'allowed'} (now {old})"


def _instead(decision: Decision, name: str, own: str, recommended: bool) -> str:
    """Say how a strategy compares with the recommended one, were it admissible; nothing where it would not matter."""
    comparison = decision.comparison
    found = lead(comparison, name, own)
    text = f"{name}, {_ahead(found, comparison['metric'])}"
    if found.told:
        return f"{text}, told better than {own}" if recommended else ""
    doubt = f"{text}, a difference that cannot be told ({_sureness(found)})"
    if recommended:
        ratio = train_flops(comparison, own) / max(train_flops(comparison, name), 1)
        return f"{doubt}, and {times(ratio)} cheaper to train" if ratio > 1 else doubt
    return f"{doubt}: the advice would stay" if found.gain > 0 else ""


def _sureness(found: Lead) -> str:
    """Return the chance of whichever is more likely the better."""
    return chance(max(found.chance, 1 - found.chance))


def _ahead(found: Lead, metric: str) -> str:
    within = gap_interval(found.ci95, metric)
    if metric in LOWER_IS_BETTER:
        side = "lower" if found.gain >= 0 else "higher"
        return f"{called(metric)} {gap(found.gain, metric)} {side} ({within})"
    return f"{signed(found.gain, metric)}{unit(metric)} {called(metric)} ({within})"


def _other_costs(decision: Decision) -> list[str]:
    """Say who it would be if the score alone counted, or the cost of training alone."""
    comparison, own = decision.comparison, str(decision.recommended)
    metric, found = comparison["metric"], []
    best = ranked(comparison, decision.admissible, "valid")[0]
    if best != own:
        of_best = lead(comparison, best, own)
        doubt = f"but it cannot be told from {own} ({_sureness(of_best)})"
        if lead(comparison, own, best).told:
            doubt = f"but on test {own} is told better"
        found.append(f"If {called(metric)} alone counted: {best}, {_ahead(of_best, metric)}, {doubt}.")
    cheap = cheapest(comparison, decision.admissible)
    if train_flops(comparison, cheap) < train_flops(comparison, own):
        prices = (flops(train_flops(comparison, name)) for name in (cheap, own))
        price = " in place of ".join(prices)
        found.append(f"If the cost of training alone counted: {cheap}, {price}, "
                     f"{_ahead(lead(comparison, cheap, own), metric)}.")  # fmt: skip
    return found
