"""May a registered version become champion? What is asked of it, one check after the other, and what came out.

The first check that fails ends it, the cheapest come first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.common.errors import UserError
from pipeline.config.metric_names import LOWER_IS_BETTER
from pipeline.config.params import Runtime
from pipeline.config.recipe import Recipe
from pipeline.data.labelled_files import LabelledFiles
from pipeline.statistics.noninferiority import PairedDifference, is_not_worse, paired_differences
from pipeline.tracking import served_scores
from pipeline.tracking.promotion import Action, Entry
from pipeline.tracking.registry import Registry, Version

if TYPE_CHECKING:
    import pandas as pd

SAMPLE = 256  # images on which a version is asked whether it says what was evaluated
FORCE = "If it is to be champion all the same: uv run headstart registry promote {} --force"


@dataclass(frozen=True)
class Rules:
    """What is asked of a new champion."""

    min_gain: float  # over always naming the commonest class, on validation
    margin: float  # how much worse than the champion it may be, in the metric
    metric: str
    confidence: float
    threads: int


@dataclass(frozen=True)
class Challenger:
    """A version that would be champion, and what is known of it."""

    version: Version
    gain: float | None  # over always naming the commonest class
    admissible: bool | None  # whether it meets the constraints
    tolerance: float  # between the probabilities that were evaluated and those that are served
    taken_back: bool = False  # it was champion, and was rolled back
    evaluated: "pd.DataFrame | None" = None  # its probabilities on the test images, by their ids


@dataclass(frozen=True)
class Judgement:
    """What the gate found: it is passed where nothing stands against it."""

    against: str  # a sentence; empty where nothing does
    said: str  # how it compares with the champion
    compared: PairedDifference | None  # None: there is no champion, or it did not come to that

    @property
    def passed(self) -> bool:
        """Say whether the version may become champion."""
        return not self.against

    def numbers(self) -> dict[str, Any]:
        """Return the comparison as plain values."""
        return {} if self.compared is None else self.compared.model_dump(mode="json")

    def tags(self) -> dict[str, str]:
        """Return what the version is tagged with."""
        numbers = {f"gate.{name}": str(value) for name, value in self.numbers().items()}
        outcome = "passed" if self.passed else "refused"
        return {"gate": outcome, "gate.said": self.against or self.said, **numbers}

    def entry(self, version: Version, champion: Version | None, dry_run: bool) -> Entry:
        """Return the line of the history that follows from it."""
        action: Action = "refused" if not self.passed else "dry run" if dry_run else "promoted"
        before = champion.version if champion else None
        return Entry(action, version.version, before, self.against or self.said, self.numbers())


class _RefusedError(Exception):
    pass


def tolerance(recipe: Recipe, runtime: Runtime) -> float:
    """Return how far served probabilities may be from those that were evaluated.

    A model is served in float32 on a CPU. What was evaluated so too must come out again but for the order of sums. A
    strategy whose gradient stops at a stage was evaluated on cached maps of 16 bits (1.6e-4 was measured), and what was
    evaluated on a GPU, or in bfloat16, was rounded to three digits on the way.
    """
    if runtime.device != "cpu" or runtime.precision == "bf16":
        return 0.05
    return 1e-4 if recipe.cut in ("head", "input", 0) else 5e-3


def judge(
    registry: Registry, challenger: Challenger, champion: Version | None, images: LabelledFiles, rules: Rules
) -> Judgement:
    """Return whether a version may follow the champion; raise UserError where the test images cannot be read."""
    try:
        _check_records(challenger, rules)
        probabilities = _check_served(registry, challenger, images, rules)
        if champion is None:
            return Judgement("", "there was no champion", None)
        found = _paired(registry, challenger.version, probabilities, champion, images, rules)
    except _RefusedError as refused:
        return Judgement(str(refused), "", None)
    said = f"{sentence(found, images)} version {champion.version}"
    if is_not_worse(found, rules.margin):
        return Judgement("", said, found)
    return Judgement(f"{said}; register.margin allows {_amount(found.metric, rules.margin)} at most", said,
                     found)  # fmt: skip


def sentence(found: PairedDifference, images: LabelledFiles) -> str:
    """Say how far a network is from another, whose name follows."""
    gain, worst = (f"{_amount(found.metric, each)} {'better' if each >= 0 else 'worse'}"
                   for each in (found.gain, found.worst))  # fmt: skip
    return (
        f"on the same {len(images):,} test images its {found.metric.replace('_', ' ')} is {gain}, at worst {worst}, "
        "than that of"
    )


def _amount(metric: str, value: float) -> str:
    """Write a difference without its sign: shares in points, a log loss in nats."""
    return f"{abs(value):.3f}" if metric in LOWER_IS_BETTER else f"{100 * abs(value):.1f} points"


def _check_records(challenger: Challenger, rules: Rules) -> None:
    number = challenger.version.version
    if challenger.gain is None or challenger.admissible is None:
        raise _RefusedError(f"version {number} was registered before its gain over the commonest class and the "
                            f"constraints were noted. {FORCE.format(number)}")  # fmt: skip
    if challenger.gain < rules.min_gain:
        raise _RefusedError(
            f"on validation {challenger.version.strategy} is {100 * challenger.gain:.1f} points above always "
            f"predicting the largest class; register.min_gain_over_majority requires {100 * rules.min_gain:.1f}"
        )
    if not challenger.admissible:
        raise _RefusedError(f"{challenger.version.strategy} does not meet the constraints")
    if challenger.taken_back:
        raise _RefusedError(f"version {number} was champion and was rolled back. If it is to be champion again: "
                            f"uv run headstart registry promote {number}")  # fmt: skip


def _check_served(registry: Registry, challenger: Challenger, images: LabelledFiles, rules: Rules) -> "pd.DataFrame":
    """Return a version's probabilities on all test images, in order, once a clean process gives the same."""
    version = challenger.version
    if challenger.evaluated is None:
        return _refused_if_unservable(lambda: on_images(registry, version, images, rules.threads))
    if set(images.ids) - set(challenger.evaluated.index):
        raise UserError(f"the results of {version.strategy} are of other test images; run: uv run dvc repro")
    evaluated = challenger.evaluated.loc[list(images.ids)]
    rows = np.unique(np.linspace(0, len(images) - 1, min(SAMPLE, len(images))).round().astype(int))
    served = _refused_if_unservable(
        lambda: served_scores.served(registry, version, images.contents(rows), rules.threads)
    )
    gap = served_scores.largest_gap(evaluated.iloc[rows], served)
    if not gap <= challenger.tolerance:  # NaN too
        raise _RefusedError(
            f"loaded in a clean process, version {version.version} gives other probabilities than those that were "
            f"evaluated: they differ by up to {gap:.2g}"
        )
    return evaluated


def _refused_if_unservable(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except served_scores.UnservableError as error:
        raise _RefusedError(str(error)) from None


def on_images(registry: Registry, version: Version, images: LabelledFiles, threads: int) -> "pd.DataFrame":
    """Return a version's probabilities on images (rows in their order), asking it only where that is not kept."""
    known = served_scores.kept(registry, version, images.digest) if images.digest else None
    if known is not None and set(images.ids) <= set(known.index):
        return known.loc[list(images.ids)]
    found = served_scores.served(registry, version, images.contents(), threads)
    found.index = list(images.ids)  # type: ignore[assignment]
    if images.digest:
        served_scores.keep(registry, version, images.digest, _once(found))
    return found


def _once(table: "pd.DataFrame") -> "pd.DataFrame":
    return table[~table.index.duplicated()]


def _paired(
    registry: Registry, challenger: Version, probabilities: "pd.DataFrame", champion: Version, images: LabelledFiles,
    rules: Rules,
) -> PairedDifference:  # fmt: skip
    other = _refused_if_unservable(lambda: on_images(registry, champion, images, rules.threads))
    if set(other) != set(probabilities):
        raise _RefusedError(
            f"version {champion.version}, the champion, tells apart {_classes(other)}, and version "
            f"{challenger.version} {_classes(probabilities)}: they cannot be compared. "
            f"{FORCE.format(challenger.version)}"
        )
    found = compared(probabilities, other, images, rules.confidence)
    return next(each for each in found if each.metric == rules.metric)


def compared(a: "pd.DataFrame", b: "pd.DataFrame", images: LabelledFiles, confidence: float) -> list[PairedDifference]:
    """Return every metric's paired difference of two tables of probabilities on the same images.

    Raise UserError where their classes differ, or a label is none of them.
    """
    if set(a) != set(b):
        raise UserError(f"one tells apart {_classes(a)}, the other {_classes(b)}: they cannot be compared")
    classes = [str(name) for name in a]
    labels = images.targets(tuple(classes))
    return paired_differences(labels, a.to_numpy(), b[classes].to_numpy(), confidence)


def _classes(table: "pd.DataFrame") -> str:
    return ", ".join(sorted(map(str, table)))
