"""A comparison as the claims see it: strategies by kind, which follows from their recipes, never by name."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from pipeline.config.recipe import HEADS, TUNED, Kind
from pipeline.statistics.schema import Comparison, Crossover, StrategyCost, StrategyResult
from pipeline.statistics.timings import Timings
from pipeline.verdict.at_size import at_images, sizes
from pipeline.verdict.pairwise import PairedDifference, crossover, paired_difference

# How well features separate the classes, whatever their number: the leave-one-out accuracy of a linear classifier, and
# LogME. Not the H-score, which grows with the number of features.
SEPARATIONS = ("ridge_accuracy", "log_me")


class Missing(Exception):  # noqa: N818
    """A claim needs kinds of strategy that the comparison lacks; without kinds, it is the learning curves that lack."""

    def __init__(self, kinds: Sequence[Kind] = ()) -> None:
        super().__init__(", ".join(kinds) or "learning curves")
        self.kinds = kinds


@dataclass(frozen=True)
class Chance:
    """The probability that a strategy is better than another: with all images, or with the fewest measured."""

    name: str
    other: str
    probability: float
    few: bool = False


@dataclass(frozen=True)
class Ratio:
    """How many times as much a strategy takes as another, of which cost."""

    name: str
    other: str
    ratio: float
    of: Literal["training", "predictions of one image", "a prediction", "bytes"] = "training"


@dataclass(frozen=True)
class NotConcerned:
    """The claim is about another case than this data's."""

    here: Literal["related", "not related", "on the same backbone"]


Finding = Chance | Ratio | NotConcerned


def alike(comparison: Comparison, kinds: Sequence[Kind], fields: Sequence[str]) -> dict[Kind, str]:
    """Return a strategy of each of these kinds whose recipes agree in `fields`; empty where there are none.

    Of several such sets, it is the one with the best mean on validation, and in it the best of each kind.
    """
    sets: dict[tuple[Any, ...], dict[Kind, str]] = {}
    kind_of = {name: kind for kind, names in comparison.by_kind().items() if kind in kinds for name in names}
    for name in comparison.ranked(kind_of, "valid"):
        recipe = comparison.strategies[name].recipe
        sets.setdefault(tuple(getattr(recipe, field) for field in fields), {}).setdefault(kind_of[name], name)
    return next((found for found in sets.values() if len(found) == len(kinds)), {})


@dataclass(frozen=True)
class Case:
    """A comparison by kind of strategy. Each kind is represented by its strategy with the best mean on validation.

    The frozen and the fine-tuned strategy have the same backbone where possible: claims are about what is done with a
    backbone, not about which it is.
    """

    comparison: Comparison
    timings: Timings
    chosen: dict[Kind, str] | None = None  # by kind, in place of what this class would choose

    @cached_property
    def names(self) -> dict[Kind, str]:
        """Return the strategy that represents each kind."""
        if self.chosen is not None:
            return self.chosen
        best = {kind: names[0] for kind, names in self.comparison.by_kind().items()}
        return best | alike(self.comparison, (HEADS, TUNED), ("backbone",))

    def name(self, kind: Kind) -> str:
        """Return the strategy of a kind."""
        return self.names[kind]

    def strategy(self, kind: Kind) -> StrategyResult:
        """Return the results of the strategy of a kind."""
        return self.comparison.strategies[self.names[kind]]

    def present(self, *kinds: Kind) -> list[Kind]:
        """Return those of the kinds that were compared."""
        return [kind for kind in kinds if kind in self.names]

    def need(self, *kinds: Kind) -> list[Kind]:
        """Return the kinds; raise Missing where one was not compared."""
        if lacking := [kind for kind in kinds if kind not in self.names]:
            raise Missing(lacking)
        return list(kinds)

    def of_one_model(self, *kinds: Kind) -> "Case":
        """Return the case with these kinds on the same backbone at the same image size, where possible."""
        return replace(self, chosen=self.names | alike(self.comparison, kinds, ("backbone", "image_size")))

    def on_another_backbone(self, kind: Kind, than: Kind) -> "Case":
        """Return the case with a kind on another backbone than a second kind's, where possible."""
        strategies, taken = self.comparison.strategies, self.model(than)[0]
        names = [n for n in self.comparison.by_kind()[kind] if strategies[n].recipe.backbone != taken]
        return replace(self, chosen=self.names | {kind: [*names, self.names[kind]][0]})

    def best(self, *kinds: Kind) -> Kind:
        """Return the kind with the best mean on validation."""
        first = self.comparison.ranked((self.names[kind] for kind in kinds), "valid")[0]
        return next(kind for kind in kinds if self.names[kind] == first)

    def cost(self, kind: Kind) -> StrategyCost:
        """Return a kind's cost."""
        return self.strategy(kind).cost

    def train(self, kind: Kind) -> int:
        """Return the FLOPs of one training, feature passes included."""
        return self.cost(kind).train_flops

    def seconds(self, kind: Kind) -> float | None:
        """Return the seconds of one training, if measured."""
        found = self.timings.get(self.names[kind])
        return None if found is None else found.train.seconds_per_training

    def latency(self, kind: Kind) -> float | None:
        """Return the median milliseconds for one image, if measured."""
        found = self.timings.get(self.names[kind])
        return None if found is None else found.latency_ms[1].p50

    def model(self, kind: Kind) -> tuple[str, int]:
        """Return the backbone and the image size in pixels."""
        recipe = self.strategy(kind).recipe
        return recipe.backbone, recipe.image_size

    def difference(self, kind: Kind, other: Kind) -> PairedDifference:
        """Return the difference of two kinds on test."""
        return paired_difference(self.comparison, self.names[kind], self.names[other])

    def chance(self, kind: Kind, other: Kind, few: bool = False) -> Chance:
        """Return the probability that a kind is better than another; `few`: this is the case of the fewest images."""
        return Chance(self.name(kind), self.name(other), self.difference(kind, other).p_better, few)

    def price(self, kind: Kind, other: Kind) -> Ratio:
        """Return how a kind's training costs compare with another's."""
        return Ratio(self.name(kind), self.name(other), self.train(kind) / max(self.train(other), 1))

    def better(self, kind: Kind, other: Kind) -> bool:
        """Return whether a kind is significantly better than another, after correction."""
        return self.difference(kind, other).significant

    def crossover(self, kind: Kind, other: Kind) -> Crossover:
        """Return where the learning curves of two kinds cross."""
        return crossover(self.comparison, self.names[kind], self.names[other])

    @property
    def has_curves(self) -> bool:
        """Return whether more than one number of training images was measured."""
        return len(sizes(self.comparison)) > 1

    def smallest(self) -> tuple["Case", int]:
        """Return the case at the smallest measured size, and that size; raise Missing without curves."""
        if not self.has_curves:
            raise Missing
        fewest = sizes(self.comparison)[0]
        return Case(at_images(self.comparison, fewest), {}, self.names), fewest

    @cached_property
    def separation(self) -> dict[str, tuple[float, float]]:
        """Return each measure of how well features separate the classes: of pretrained features, and of pixels.

        They are of the first kind that has them; empty where none has.
        """
        found = (self.strategy(kind).transfer for kind in self.present(HEADS, TUNED))
        transfer = next((each for each in found if each is not None), None)
        return {key: (transfer.features[key], transfer.pixels[key]) for key in SEPARATIONS} if transfer else {}

    @property
    def related(self) -> bool | None:
        """Return whether pretrained features separate the classes better than pixels do.

        None where the measures disagree or were not taken.
        """
        better = {features > pixels for features, pixels in self.separation.values()}
        return better.pop() if len(better) == 1 else None
