"""What would change the advice, in sentences."""

from pipeline.config.metric_names import LOWER_IS_BETTER
from pipeline.statistics.schema import Comparison
from pipeline.verdict.changes import Change, CurvesCross, FewerImages, LooserLimits, OtherAim
from pipeline.verdict.decision import Decision
from pipeline.verdict.formatting import (
    called,
    chance,
    flops,
    gap,
    gap_interval,
    listed,
    rough,
    rough_interval,
    score,
    signed,
    times,
    unit,
)
from pipeline.verdict.pairwise import PairedDifference, paired_difference, train_flops
from pipeline.verdict.sentences.limits import loosened_clause
from pipeline.verdict.sentences.measured import crossover_sentence


def change_sentence(change: Change, decision: Decision) -> str:
    """Say what would change the advice, every number computed."""
    if isinstance(change, CurvesCross):
        return _curves_cross(change, decision)
    if isinstance(change, FewerImages):
        return f"With {change.images:,.0f} training images the advice would be {change.strategy}."
    if isinstance(change, LooserLimits):
        return _looser_limits(change, decision)
    return _other_aim(change, decision)


def _curves_cross(change: CurvesCross, decision: Decision) -> str:
    crossover, own, other = change.crossover, decision.recommended, change.other
    if change.side == "unmeasured" or crossover.images is None or crossover.ci is None:
        return f"Learning curves: {crossover_sentence(decision.measured, crossover)}."
    where = f"about {rough(crossover.images)}; {rough_interval(crossover.ci, decision.comparison.confidence)}"
    if change.side == "more":
        return f"With {times(crossover.images / change.here)} the images ({where}) {other} would be level with {own}."
    return f"With fewer images ({where}) {other} would be level with {own}, with fewer still ahead."


def _looser_limits(change: LooserLimits, decision: Decision) -> str:
    comparison, name, own = decision.comparison, change.strategy, decision.recommended
    limits = listed(list(map(loosened_clause, change.limits)))
    if own is None:
        mean = comparison.strategies[name].test[comparison.metric].mean
        return f"If {limits}: {name}, at {called(comparison.metric)} {score(mean, comparison.metric)}."
    found = paired_difference(comparison, name, own)
    text = f"If {limits}: {name}, {_ahead(found, comparison)}"
    if found.significant:
        return f"{text}, told better than {own}."
    text += f", a difference that cannot be told ({_sureness(found)})"
    if not change.recommended:
        return f"{text}: the advice would stay."
    ratio = train_flops(comparison, own) / max(train_flops(comparison, name), 1)
    return f"{text}, and {times(ratio)} cheaper to train." if ratio > 1 else f"{text}."


def _other_aim(change: OtherAim, decision: Decision) -> str:
    comparison, own, name = decision.comparison, str(decision.recommended), change.strategy
    found = paired_difference(comparison, name, own)
    if change.aim == "training_cost":
        price = " in place of ".join(flops(train_flops(comparison, each)) for each in (name, own))
        return f"If the cost of training alone counted: {name}, {price}, {_ahead(found, comparison)}."
    doubt = f"but it cannot be told from {own} ({_sureness(found)})"
    if paired_difference(comparison, own, name).significant:
        doubt = f"but on test {own} is told better"
    return f"If {called(comparison.metric)} alone counted: {name}, {_ahead(found, comparison)}, {doubt}."


def _sureness(found: PairedDifference) -> str:
    """Return the chance of whichever is more likely the better."""
    return chance(max(found.p_better, 1 - found.p_better))


def _ahead(found: PairedDifference, comparison: Comparison) -> str:
    metric = comparison.metric
    within = gap_interval(found.ci, metric, comparison.confidence)
    if metric in LOWER_IS_BETTER:
        side = "lower" if found.gain >= 0 else "higher"
        return f"{called(metric)} {gap(found.gain, metric)} {side} ({within})"
    return f"{signed(found.gain, metric)}{unit(metric)} {called(metric)} ({within})"
