"""What the verdict says first: what to use, what that may lose, what it costs, and what would change it."""

from pipeline.verdict.changes import OtherWorth, changes, other_worths
from pipeline.verdict.decision import Decision
from pipeline.verdict.formatting import POINTS, called, gap, level, listed, little, operations, score, times
from pipeline.verdict.pairwise import train_flops
from pipeline.verdict.schema import Answers
from pipeline.verdict.sentences.changes import change_sentence
from pipeline.verdict.sentences.limits import doubt_sentence, loosen_clause

ZERO = ": none in a thousand images"


def answers(decision: Decision) -> Answers:
    """Return the four sentences; those that there is nothing to say of are empty."""
    if decision.recommended is None:
        return Answers(use="No strategy meets your constraints.", loses="", costs="", changes=_nearest(decision))
    return Answers(use=_use(decision), loses=_loses(decision), costs=_costs(decision), changes=_changes(decision))


def doubts(decision: Decision) -> list[str]:
    """Say which limits the recommended strategy meets without certainty."""
    if decision.recommended is None:
        return []
    return [text for check in decision.checks[decision.recommended] if (text := doubt_sentence(check))]


def _use(decision: Decision) -> str:
    own, count = decision.recommended, len(decision.admissible)
    begin = f"{_opening(decision)}use {own}"
    begin = begin[0].upper() + begin[1:]
    every = count == len(decision.comparison.strategies)
    these = "the strategies" if every else "those that meet your constraints, the strategies"
    worth = gap(decision.comparison.worth, decision.comparison.metric)
    if decision.basis == "alone":
        return f"{begin}: it is the only strategy {'compared' if every else 'that meets your constraints'}."
    meets = "" if every else " of those that meet your constraints"
    if decision.basis == "loses_least":
        return f"{begin}: it is expected to lose least against the best{meets}, though more than {worth}."
    if decision.basis == "only_within":
        return f"{begin}: it alone is expected to lose no more than {worth} against the best{meets}."
    return f"{begin}: of {these} expected to lose no more than {worth} against the best, it is the cheapest to train."


def _opening(decision: Decision) -> str:
    """Say with how many training images, where that is asked, and what there is to go by."""
    images, measured = decision.constraints.images, decision.sizes
    if images is None or images == measured[-1]:
        return ""
    if images > measured[-1]:
        known = len({p.images for s in decision.measured.strategies.values() for p in s.curve}) > 1
        by = "a forecast by the learning curves" if known else "as measured with fewer, since there are no curves"
        return f"with {images:,} training images, more than were measured ({by}), "
    if images < measured[0]:
        return f"with {images:,} training images, fewer than were measured (as with {measured[0]:,}), "
    return f"with {images:,} training images{'' if images in measured else ', between measured sizes'}, "


def _loses(decision: Decision) -> str:
    comparison, believed, own = decision.comparison, decision.belief, str(decision.recommended)
    if not decision.rivals:
        return ""
    metric, sure = comparison.metric, level(comparison.confidence)
    loss, most = believed.losses[own], believed.posterior.loss_at_most(own, comparison.confidence)
    in_images = metric in POINTS
    if not round(1000 * most):
        return (
            f"With {sure} confidence it loses nothing in {called(metric)} against the best{ZERO if in_images else ''}."
        )
    rival = f", most likely {decision.rivals[0]}," if believed.best != own else ""
    alike = " with every class alike" if metric == "balanced_accuracy" else ""
    per_thousand = f", or {1000 * most:.0f} in a thousand images{alike}" if in_images else ""
    return (
        f"Against the best{rival} it is expected to lose {little(loss, metric)} of {called(metric)} and, with {sure} "
        f"confidence, at most {gap(most, metric)}{per_thousand}."
    )


def _costs(decision: Decision) -> str:
    comparison, own = decision.comparison, str(decision.recommended)
    cost = comparison.strategies[own].cost
    price = f"One training takes {operations(cost.train_flops)}"
    image = f"one prediction {operations(cost.predict_flops)}"
    others = sorted(decision.rivals, key=lambda name: (train_flops(comparison, name), name))
    if not others:
        return f"{price}, and {image}."
    other = decision.rivals[0] if decision.belief.best != own else others[-1]
    ratio = cost.train_flops / max(train_flops(comparison, other), 1)
    return f"{price}, {times(ratio)} as many as {other}, and {image}."


def _changes(decision: Decision) -> str:
    metric, clauses = decision.comparison.metric, []
    for change in other_worths(decision):
        clauses.append(_other_worth(change, decision, metric))
    if clauses:
        return f"Use {', or '.join(clauses)}."
    found = changes(decision)
    return change_sentence(found[0], decision) if found else "Nothing that was measured would change this."


def _other_worth(change: OtherWorth, decision: Decision, metric: str) -> str:
    if change.side == "less":
        return f"{change.strategy} if losing {little(change.worth, metric)} is too much"
    own = str(decision.recommended)
    ratio = train_flops(decision.comparison, change.strategy) / max(train_flops(decision.comparison, own), 1)
    return (
        f"{change.strategy}, at {times(ratio)} the cost of training, if losing {little(change.worth, metric)} does not "
        "matter"
    )


def _nearest(decision: Decision) -> str:
    """Say which strategy needs the least loosening, and of which limits."""
    name, metric = decision.nearest, decision.comparison.metric
    needed = listed(list(map(loosen_clause, decision.unmet(name))))
    mean = decision.comparison.strategies[name].test[metric].mean
    return f"The nearest is {name}, with {called(metric)} {score(mean, metric)} on test: {needed}."
