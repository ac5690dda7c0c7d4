"""What would change the advice, in sentences."""

from math import ceil

from pipeline.verdict.changes import Change, CurvesCross, FewerImages, LooserLimits, MoreTesting, OtherWorth
from pipeline.verdict.decision import Decision
from pipeline.verdict.formatting import called, chance, flops, listed, little, rough, rough_interval, score, times
from pipeline.verdict.pairwise import images_compared, paired_difference, train_flops
from pipeline.verdict.sentences.difference import score_change
from pipeline.verdict.sentences.limits import loosened_limit
from pipeline.verdict.sentences.measured import crossover_sentence


def change_sentence(change: Change, decision: Decision) -> str:
    """Say what would change the advice, every number computed."""
    if isinstance(change, CurvesCross):
        return _curves_cross(change, decision)
    if isinstance(change, FewerImages):
        return f"With {change.images:,.0f} training images, {change.strategy} would be recommended."
    if isinstance(change, LooserLimits):
        return _looser_limits(change, decision)
    return _more_testing(change, decision) if isinstance(change, MoreTesting) else _other_worth(change, decision)


def _curves_cross(change: CurvesCross, decision: Decision) -> str:
    crossover, own, other = change.crossover, decision.recommended, change.other
    if change.side == "unmeasured" or crossover.images is None or crossover.ci is None:
        return f"Learning curves: {crossover_sentence(decision.measured, crossover)}."
    images, within = rough(crossover.images), rough_interval(crossover.ci, decision.comparison.confidence)
    if change.side == "more":
        ratio = times(crossover.images / change.here)
        return f"With {ratio} the images (about {images}; {within}), {other} would catch up with {own}."
    return f"With fewer than about {images} images ({within}), {other} would be ahead of {own}."


def _looser_limits(change: LooserLimits, decision: Decision) -> str:
    comparison, name, own = decision.comparison, change.strategy, decision.recommended
    limits = listed(list(map(loosened_limit, change.limits)))
    if own is None:
        metric = comparison.metric
        mean = score(comparison.strategies[name].test[metric].mean, metric)
        return f"With {limits}, {name} would be recommended: {called(metric)} {mean} on test."
    found = paired_difference(comparison, name, own)
    scored = score_change(found, comparison)
    if not change.recommended:
        return (
            f"With {limits}, {own} would still be recommended: {name} has {scored}, which is "
            f"{_not_better(decision, name, own)}."
        )
    if found.significant:
        return f"With {limits}, {name} would be recommended: it is significantly better than {own}, with {scored}."
    text = f"With {limits}, {name} would be recommended: it has {scored}, which is {_not_better(decision, name, own)}"
    ratio = train_flops(comparison, own) / max(train_flops(comparison, name), 1)
    return f"{text}, and is {times(ratio)} cheaper to train." if ratio > 1 else f"{text}."


def _other_worth(change: OtherWorth, decision: Decision) -> str:
    comparison, own, name = decision.comparison, str(decision.recommended), change.strategy
    scored = score_change(paired_difference(comparison, name, own), comparison)
    price, instead = (flops(train_flops(comparison, each)) for each in (name, own))
    spent = f"{price} per training instead of {instead}"
    lost = little(change.worth, comparison.metric)
    if change.side == "less":
        return f"If losing {lost} against the best is too much, {name} would be recommended, with {scored}: {spent}."
    return f"If losing {lost} against the best does not matter, {name} would be recommended, with {scored}: {spent}."


def _more_testing(change: MoreTesting, decision: Decision) -> str:
    comparison, own, name = decision.comparison, str(decision.recommended), change.strategy
    (count, images), needed = images_compared(comparison), change.needed
    ways = []
    if needed.test_images is not None:
        ways.append(f"about {rough(count * (needed.test_images - 1))} more {images}")
    if needed.seeds is not None:
        more = ceil(comparison.seeds * (needed.seeds - 1))
        spent = more * (train_flops(comparison, name) + train_flops(comparison, own))
        ways.append(f"{more} more seed{'s' if more != 1 else ''} of both ({flops(spent)})")
    if not ways:
        return f"No realistic number of {images} or seeds would decide between {own} and {name}."
    return f"Whether {name} is better than {own} by more than matters is open: {' or '.join(ways)} would decide it."


def _not_better(decision: Decision, name: str, own: str) -> str:
    """Say that one strategy is not significantly better than another, or even significantly worse."""
    if paired_difference(decision.comparison, own, name).significant:
        return f"significantly worse than {own}"
    p_better = paired_difference(decision.comparison, name, own).p_better
    likelier = name if p_better >= 1 - p_better else own
    return f"not a significant difference ({chance(max(p_better, 1 - p_better))} that {likelier} is better)"
