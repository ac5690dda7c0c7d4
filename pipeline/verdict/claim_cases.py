"""What the claims ask of a comparison: strategies by what their recipes say, never by name."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from pipeline.verdict.at_size import at_images, sizes
from pipeline.verdict.formatting import called, decimals, listed
from pipeline.verdict.pairwise import Comparison, Lead, crossing, lead, ranked
from pipeline.verdict.phrases import corrected, flops, gap, gap_interval, times

SUPPORTED, CONTRADICTED, CANNOT = "supported", "contradicted", "cannot be told here"
Finding = tuple[str, str]  # outcome, evidence

HEADS, TUNED, FRESH = "heads", "tuned", "fresh"
WHAT = {
    HEADS: "a frozen backbone (weights: pretrained, cut: head)",
    TUNED: "fine-tuning (weights: pretrained, cut: a stage or input)",
    FRESH: "training from scratch (weights: random, cut: input)",
}

# How far features separate the classes, of any width: the leave-one-out accuracy of a linear classifier, and LogME.
TRANSFER = {"ridge_accuracy": "leave-one-out accuracy", "log_me": "LogME"}


class Missing(Exception):  # noqa: N818
    """Say which kinds of strategy a claim needs and the comparison lacks."""


def kind(recipe: dict[str, Any]) -> str | None:
    """Return what a recipe is a case of; None for a control, such as a head on random features."""
    if recipe["weights"] == "pretrained":
        return HEADS if recipe["cut"] == "head" else TUNED
    return FRESH if recipe["cut"] in ("input", 0) else None


def by_kind(comparison: Comparison) -> dict[str, list[str]]:
    """Return the strategies of each kind, the best mean on validation first."""
    found: dict[str, list[str]] = {}
    for name in ranked(comparison, comparison["strategies"], "valid"):
        if (of := kind(comparison["strategies"][name]["recipe"])) is not None:
            found.setdefault(of, []).append(name)
    return found


def alike(comparison: Comparison, kinds: Sequence[str], fields: Sequence[str]) -> dict[str, str]:
    """Return a strategy of each of these kinds such that `fields` of their recipes agree, or none.

    Of several such sets it is that with the best mean on validation, and in it the best of each kind.
    """
    sets: dict[tuple[Any, ...], dict[str, str]] = {}
    of = {name: of for of, names in by_kind(comparison).items() if of in kinds for name in names}
    for name in ranked(comparison, of, "valid"):
        recipe = comparison["strategies"][name]["recipe"]
        sets.setdefault(tuple(recipe[field] for field in fields), {}).setdefault(of[name], name)
    return next((found for found in sets.values() if len(found) == len(kinds)), {})


@dataclass(frozen=True)
class Case:
    """A comparison seen by kind. Of several strategies of a kind one stands for it: the best mean on validation.

    A frozen and a fine-tuned backbone are the same one where they can be: claims are about what is done with a
    backbone, not about which it is.
    """

    comparison: Comparison
    timings: dict[str, Any]
    chosen: dict[str, str] | None = None  # by kind, in place of what this class would choose

    @property
    def metric(self) -> str:
        """Return the metric that decides."""
        return str(self.comparison["metric"])

    @cached_property
    def names(self) -> dict[str, str]:
        """Return the strategy that stands for each kind."""
        if self.chosen is not None:
            return self.chosen
        best = {of: names[0] for of, names in by_kind(self.comparison).items()}
        return best | alike(self.comparison, (HEADS, TUNED), ("backbone",))

    def name(self, kind: str) -> str:
        """Return the strategy of a kind."""
        return self.names[kind]

    def present(self, *kinds: str) -> list[str]:
        """Return those of the kinds that were compared."""
        return [kind for kind in kinds if kind in self.names]

    def need(self, *kinds: str) -> list[str]:
        """Return the kinds, or raise Missing with what to enable."""
        lacking = [WHAT[kind] for kind in kinds if kind not in self.names]
        if lacking:
            raise Missing(f"Not compared: {listed(lacking)}. Add such a strategy to `enabled` in params.yaml.")
        return list(kinds)

    def of_one_model(self, *kinds: str) -> "Case":
        """Return the case with these kinds on the same backbone at the same image size, where there are such."""
        return replace(self, chosen=self.names | alike(self.comparison, kinds, ("backbone", "image_size")))

    def on_another_backbone(self, kind: str, than: str) -> "Case":
        """Return the case with a kind on another backbone than a second kind's, where there is such a one."""
        strategies, taken = self.comparison["strategies"], self.model(than)[0]
        names = [n for n in by_kind(self.comparison)[kind] if strategies[n]["recipe"]["backbone"] != taken]
        return replace(self, chosen=self.names | {kind: [*names, self.names[kind]][0]})

    def note(self) -> str:
        """Say which strategies the claims are about where there are several of a kind; else nothing."""
        several = {of: len(names) for of, names in by_kind(self.comparison).items()}
        if max(several.values(), default=1) == 1:
            return ""
        shown = [self.names[of] + (f" (of {count})" if count > 1 else "") for of, count in several.items()]
        return (
            "Several strategies are of one kind. The claims are about the best of each on validation, frozen and "
            f"fine-tuned on one backbone where that can be: {listed(shown)}, unless the evidence names another."
        )

    def best(self, *kinds: str) -> str:
        """Return the kind with the best mean on validation."""
        first = ranked(self.comparison, (self.names[kind] for kind in kinds), "valid")[0]
        return next(kind for kind in kinds if self.names[kind] == first)

    def cost(self, kind: str, what: str) -> float:
        """Return a field of a kind's cost."""
        return float(self.comparison["strategies"][self.names[kind]]["cost"][what])

    def train(self, kind: str) -> float:
        """Return the FLOPs of one training, feature passes included."""
        return self.cost(kind, "train_flops")

    def compared(self, kind: str, to: str) -> str:
        """Return what a kind's training costs, and how many times another's that is."""
        return f"{flops(self.train(kind))} ({times(self.train(kind) / max(self.train(to), 1))} as much)"

    def seconds(self, kind: str) -> float | None:
        """Return the seconds of one training, if measured."""
        return ((self.timings.get(self.names[kind]) or {}).get("train") or {}).get("seconds_per_training")

    def latency(self, kind: str) -> float | None:
        """Return the median milliseconds for one image, if measured."""
        by_batch = (self.timings.get(self.names[kind]) or {}).get("latency_ms") or {}
        return (by_batch.get("1") or {}).get("p50")

    def model(self, kind: str) -> tuple[str, int]:
        """Return the backbone and the image size in pixels."""
        recipe = self.comparison["strategies"][self.names[kind]]["recipe"]
        return recipe["backbone"], recipe["image_size"]

    def lead(self, kind: str, other: str) -> Lead:
        """Return how far a kind is ahead of another on test."""
        return lead(self.comparison, self.names[kind], self.names[other])

    def better(self, kind: str, other: str) -> bool:
        """Return whether a kind is told better than another, after correction."""
        return self.lead(kind, other).told

    def standing(self, kind: str, other: str) -> str:
        """Say how a kind stands against another."""
        found = self.lead(kind, other)
        side = "ahead of" if found.gain >= 0 else "behind"
        ends = found.ci95 if found.gain >= 0 else (-found.ci95[1], -found.ci95[0])
        doubt = "" if found.told or self.better(other, kind) else ", a difference that cannot be told"
        size, within = gap(abs(found.gain), self.metric), gap_interval(ends, self.metric)
        who = f"{self.names[kind]} is {size} {side} {self.names[other]} in {called(self.metric)}"
        return f"{who} ({within}; {corrected(found.p)}){doubt}."

    def crossing(self, kind: str, other: str) -> dict[str, Any] | None:
        """Return what the learning curves say of where two kinds cross."""
        return crossing(self.comparison, self.names[kind], self.names[other])

    def curves(self, kind: str, other: str) -> str:
        """Say what the learning curves say of where two kinds cross."""
        found = self.crossing(kind, other)
        return f"Learning curves: {found['sentence'].rstrip('.')}." if found else "There are no learning curves."

    def smallest(self) -> tuple["Case", int]:
        """Return the case with the fewest images measured, and how many these are."""
        measured = sizes(self.comparison)
        if not measured:
            raise Missing("No learning curve was measured. Add fractions to train.fractions in params.yaml.")
        return Case(at_images(self.comparison, measured[0]), {}, self.names), measured[0]

    @cached_property
    def transfer(self) -> list[tuple[str, float, float]]:
        """Return each measure of how far pretrained features separate the classes: name, of features, of pixels.

        Those of the first kind that has them; not the H-score, which grows with the number of features.
        """
        strategies = self.comparison["strategies"]
        found = [strategies[self.names[kind]].get("transfer") or {} for kind in self.present(HEADS, TUNED)]
        for scores in found:
            if all(f"pixels_{key}" in scores for key in TRANSFER):
                return [(name, scores[key], scores[f"pixels_{key}"]) for key, name in TRANSFER.items()]
        return []

    def related(self) -> bool | None:
        """Return whether pretrained features separate the classes better than pixels do.

        None where the measures disagree, or where there are none.
        """
        better = {features > pixels for _, features, pixels in self.transfer}
        return better.pop() if len(better) == 1 else None

    def distance(self) -> str:
        """Say how far the source is from these images."""
        if not self.transfer:
            return "How far the source is was not measured."
        shown = listed([f"{name} {decimals(of_features)} against {decimals(of_pixels)}"
                        for name, of_features, of_pixels in self.transfer])  # fmt: skip
        near = {True: "better than pixels do, so the source is near", None: "better than pixels by one measure alone",
                False: "no better than pixels do, so the source is far"}[self.related()]  # fmt: skip
        return f"Pretrained features separate the classes {near} ({shown})."

    @staticmethod
    def outcome(supported: bool, contradicted: bool) -> str:
        """Return an outcome; where both would hold, supported."""
        return SUPPORTED if supported else CONTRADICTED if contradicted else CANNOT
