"""What would change the advice: more or fewer images, looser limits, another view of cost."""

from dataclasses import dataclass
from typing import Literal

from pipeline.statistics.schema import Crossover
from pipeline.verdict.decision import Decision
from pipeline.verdict.limits import LimitCheck, loosen
from pipeline.verdict.pairwise import paired_difference, train_flops
from pipeline.verdict.schema import MoreData


@dataclass(frozen=True)
class CurvesCross:
    """Another admissible strategy's learning curve crosses that of the recommended one.

    `unmeasured`: the constraints ask for more images than were measured, so only the fitted curves can tell what
    happens there. `more`: the other would catch up with more images; `fewer`: it would be ahead with fewer.
    """

    crossover: Crossover
    other: str
    here: int  # number of training images asked for, or all
    side: Literal["unmeasured", "more", "fewer"]


@dataclass(frozen=True)
class FewerImages:
    """At a smaller measured size, another strategy would be recommended."""

    images: int
    strategy: str


@dataclass(frozen=True)
class LooserLimits:
    """With looser limits a strategy would be admissible, and either recommended or at least ahead."""

    strategy: str
    limits: tuple[LimitCheck, ...]  # those it does not meet
    recommended: bool  # it would then be


@dataclass(frozen=True)
class OtherWorth:
    """Another strategy would be recommended if more, or less, could be lost against the best."""

    strategy: str
    worth: float  # less than this, or at least this
    side: Literal["less", "more"]


@dataclass(frozen=True)
class MoreTesting:
    """More test images, or seeds, would decide how another admissible strategy compares."""

    strategy: str
    needed: MoreData


Change = CurvesCross | FewerImages | LooserLimits | OtherWorth | MoreTesting


def changes(decision: Decision) -> list[Change]:
    """Return what would change the advice."""
    if decision.recommended is None:
        return [*_looser_limits(decision)]
    return [
        *other_worths(decision), *_more_testing(decision), *_curves(decision), *_fewer_images(decision),
        *_looser_limits(decision),
    ]  # fmt: skip


def _curves(decision: Decision) -> list[CurvesCross]:
    own, found = decision.recommended, []
    here, most = decision.constraints.images or decision.sizes[-1], decision.sizes[-1]
    for crossover in decision.measured.crossovers:
        if own not in (crossover.a, crossover.b):
            continue
        other = crossover.b if crossover.a == own else crossover.a
        if other not in decision.admissible:
            continue
        if here > most:
            found.append(CurvesCross(crossover, other, here, "unmeasured"))
        elif crossover.images is None:
            continue
        elif crossover.images > here and crossover.overtaker == other:
            found.append(CurvesCross(crossover, other, here, "more"))
        elif crossover.images < here and crossover.overtaker == own:
            found.append(CurvesCross(crossover, other, here, "fewer"))
    return found


def _fewer_images(decision: Decision) -> list[FewerImages]:
    """Return the largest smaller measured size at which another strategy is recommended, if any."""
    if decision.constraints.images is not None:
        return []
    for images in reversed(decision.sizes[:-1]):
        other = decision.under(decision.constraints.model_copy(update={"images": images})).recommended
        if other not in (None, decision.recommended):
            return [FewerImages(images, str(other))]
    return []


def _looser_limits(decision: Decision) -> list[LooserLimits]:
    comparison, own, found = decision.comparison, decision.recommended, []
    for name in comparison.ranked(decision.excluded, "test"):
        looser = loosen(decision.constraints, decision.checks[name])
        if looser is None:
            continue
        recommended = decision.under(looser).recommended == name
        if recommended or (own is not None and _is_ahead(decision, name, own)):
            found.append(LooserLimits(name, tuple(decision.unmet(name)), recommended))
    return found


def _is_ahead(decision: Decision, name: str, own: str) -> bool:
    """Return whether a strategy is ahead, though not significantly."""
    found = paired_difference(decision.comparison, name, own)
    return found.gain > 0 and not found.significant


def other_worths(decision: Decision) -> list[OtherWorth]:
    """Return which strategy would be recommended if less mattered, and which if more could be lost."""
    believed, own, found = decision.belief, str(decision.recommended), []
    losses, worth = believed.losses, decision.comparison.worth
    if losses[own] <= worth:
        dearer = believed.cheapest_within(losses[own] * (1 - 1e-6) - 1e-9)
        if dearer != own and losses[dearer] < losses[own]:
            found.append(OtherWorth(dearer, losses[own], "less"))
    spent = train_flops(decision.comparison, own)
    cheaper = [name for name in believed.names if train_flops(decision.comparison, name) < spent]
    if cheaper:
        least = min(losses[name] for name in cheaper)
        found.append(OtherWorth(believed.cheapest_within(least), least, "more"))
    return found


def _more_testing(decision: Decision) -> list[MoreTesting]:
    """Return what would decide how the best of the undecided strategies compares."""
    if not decision.in_range:
        return []
    for name in decision.rivals:
        found = decision.belief.standing(name, str(decision.recommended))
        if found.decided_by is not None:
            return [MoreTesting(name, found.decided_by)]
    return []
