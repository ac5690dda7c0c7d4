"""The rows of the report's tables, taken from the comparison."""

from collections.abc import Callable, Sequence
from typing import Any

from pipeline.config.constraints import Constraints
from pipeline.data.summary import DatasetSummary
from pipeline.statistics.schema import SEPARATIONS, Comparison, Crossover
from pipeline.statistics.timings import StrategyTimings, Timings
from pipeline.verdict.formatting import (
    begun,
    digits,
    duration,
    file_size,
    flops,
    gap,
    likely,
    listed,
    quantity,
    rough,
    score,
    signed,
    span,
)
from pipeline.verdict.pairwise import images_compared
from pipeline.verdict.schema import Answers, Verdict, Word
from pipeline.verdict.sentences.measured import crossover_sentence
from pipeline.verdict.sentences.metric import metric_sentence
from pipeline.verdict.sentences.race import race_notes as race_notes

FEW_CLASSES = 12  # up to which a confusion matrix is a table with numbers
SHOWN = 12  # rows of a long list that are shown at once

Cells = dict[str, str | None]


def cost_rows(comparison: Comparison) -> list[tuple[str, Cells]]:
    """Return the costs that do not depend on the machine: a title and, by strategy, the value as text."""
    kinds = {
        "search_flops": "FLOPs to search",
        "train_flops": "FLOPs to train, alone",
        "fit_flops": "FLOPs to train, shared",
        "predict_flops": "FLOPs to predict",
        "parameters": "parameters",
        "trainable_parameters": "trained parameters",
        "model_bytes": "model size",
    }
    rows: list[tuple[str, Cells]] = []
    for key, title in kinds.items():
        write = file_size if key == "model_bytes" else lambda value: quantity(value).strip()
        rows.append((title, {name: write(getattr(s.cost, key)) for name, s in comparison.strategies.items()}))
    return rows


def wall_clock_rows(comparison: Comparison, timings: Timings) -> tuple[list[tuple[str, Cells]], str]:
    """Return the times and memory measured on this machine, as rows like those of `cost_rows`, and what is missing."""
    missing = [name for name in comparison.strategies if name not in timings]
    if len(missing) == len(comparison.strategies):
        return [], "No timings were given, so no times, latency or memory are shown."
    rows = [
        (title, {name: show(timings[name]) if name in timings else None for name in comparison.strategies})
        for title, show in _WALL_CLOCK.items()
    ]
    return rows, f"A dash means not measured ({listed(missing)})." if missing else ""


_WALL_CLOCK: dict[str, Callable[[StrategyTimings], str]] = {
    "CPU time of the search": lambda t: duration(t.tune.cpu_seconds),
    "CPU time of all trainings": lambda t: duration(t.train.cpu_seconds),
    "time of one training": lambda t: duration(t.train.seconds_per_training),
    "training images per second": lambda t: digits(t.train.images_per_second),
    "latency, 1 image: p50": lambda t: f"{digits(t.latency_ms[1].p50)} ms",
    "latency, 1 image: p95": lambda t: f"{digits(t.latency_ms[1].p95)} ms",
    "latency, 32 images: p50": lambda t: f"{digits(t.latency_ms[32].p50)} ms",
    "latency, 32 images: p95": lambda t: f"{digits(t.latency_ms[32].p95)} ms",
    "peak memory": lambda t: file_size(t.peak_memory_bytes),
}


_TRANSFER = {
    "ridge_accuracy": "leave-one-out accuracy of a linear classifier",
    "log_me": "LogME",
    "h_score": "H-score",
    "h_score_if_random": "H-score with random labels",
}


def transfer_rows(comparison: Comparison) -> list[tuple[str, dict[str, float], float]]:
    """Return a row for each measure of how well features separate the classes: title, by strategy, of raw pixels."""
    found = {name: s.transfer for name, s in comparison.strategies.items() if s.transfer is not None}
    pixels = next(iter(found.values())).pixels if found else {}  # the same for all
    return [
        (_TRANSFER[key], {name: transfer.features[key] for name, transfer in found.items()}, pixels[key])
        for key in SEPARATIONS
        if found
    ]


def class_rows(comparison: Comparison, name: str) -> Sequence[str]:
    """Return the classes, those with a strategy's lowest recall first; a few classes stay in their own order."""
    classes, scores = comparison.dataset.classes, comparison.strategies[name].classes
    if len(classes) <= FEW_CLASSES:
        return classes

    def recall(of: str) -> tuple[bool, float, str]:
        """Return the sort key of a class; classes without an image come last."""
        found = scores[of].recall
        return found is None, found.mean if found else 0.0, of

    return sorted(classes, key=recall)


def total(comparison: Comparison, name: str) -> int:
    """Return how many images a class has in all splits."""
    return sum(counts[name] for counts in comparison.dataset.counts.values())


def recipe_rows(comparison: Comparison) -> list[tuple[str, dict[str, Any], bool]]:
    """Return each setting with its value by strategy, and whether they differ; those that differ first."""
    recipes = {name: s.recipe.model_dump() for name, s in comparison.strategies.items()}
    keys = sorted({key for recipe in recipes.values() for key in recipe})
    rows = [(key, {name: recipe[key] for name, recipe in recipes.items()}) for key in keys]
    marked = [(key, values, len({str(v) for v in values.values()}) > 1) for key, values in rows]
    return sorted(marked, key=lambda row: not row[2])


def constraint_chips(constraints: Constraints) -> list[str]:
    """Return each constraint as a few words."""
    words = {
        "train_flops": lambda v: f"one training within {flops(v)}",
        "train_minutes": lambda v: f"one training within {v:g} minutes",
        "latency_ms": lambda v: f"latency at most {v:g} ms",
        "model_mb": lambda v: f"model at most {v:g} MB",
        "min_accuracy": lambda v: f"accuracy at least {100 * v:g} %",
        "images": lambda v: f"{v:,} training images available",
    }
    asked = {key: getattr(constraints, key) for key in words}
    chips = [words[key](value) for key, value in asked.items() if value is not None]
    return chips + [f"recall of {name} at least {100 * v:g} %" for name, v in constraints.min_recall.items()]


def headline(verdict: Verdict) -> str:
    """Return the recommendation in a few words."""
    return f"Use {verdict.recommended}." if verdict.recommended else "No strategy meets your constraints."


def said(answers: Answers) -> list[str]:
    """Return the first sentences of the verdict, in order, without those that there is nothing to say of."""
    return [text for text in (answers.use, answers.loses, answers.costs, answers.changes) if text]


STANDINGS: dict[Word, str] = {
    "better": "better", "equivalent": "practically equivalent", "worse": "worse", "undecided": "undecided",
}  # fmt: skip


def standing_rows(comparison: Comparison, verdict: Verdict) -> list[tuple[str, str, str, str, str, str]]:
    """Return how each other admissible strategy compares with the recommended one.

    A row holds its name, the standing, the probability of that, the expected gain, the expected loss against the best,
    and what would decide it.
    """
    metric, (count, images) = comparison.metric, images_compared(comparison)
    rows = []
    for name, found in sorted(verdict.standings.items(), key=lambda item: (item[1].loss, item[0])):
        more = found.decided_by.test_images if found.decided_by else None
        needed = f"about {rough(count * (more - 1))} more {images}" if more is not None else ""
        if found.decided_by and more is None:
            needed = f"no realistic number of {images}"
        undecided = found.standing == "undecided"
        word = f"{'undecided, most likely ' if undecided else ''}{STANDINGS[found.likeliest]}"
        rows.append((name, word, likely(found.probability), signed(found.gain, metric),
                     gap(found.loss, metric), needed))  # fmt: skip
    return rows


MANY_CROSSINGS = 6  # of more pairs of curves, those of the recommended strategy come first


def crossings(comparison: Comparison, recommended: str) -> tuple[list[Crossover], list[Crossover]]:
    """Return where curves cross; of many pairs, those of the recommended strategy, and then the others."""
    found = list(comparison.crossovers)
    if len(found) <= MANY_CROSSINGS:
        return found, []
    own = [c for c in found if recommended in (c.a, c.b)]
    return own, [c for c in found if c not in own]


def why_metric(comparison: Comparison) -> str:
    """Say why the metric was chosen, if `metric: auto` chose it; else nothing."""
    counts = comparison.dataset.counts["train"]
    return metric_sentence(comparison.metric, counts) if comparison.metric_is_auto else ""


def curve_sentences(comparison: Comparison, recommended: str) -> tuple[list[str], list[str]]:
    """Say where curves cross: sentences on the pairs that come first, and on the others."""
    own, others = crossings(comparison, recommended)
    first, rest = ([begun(f"{crossover_sentence(comparison, c)}.") for c in part] for part in (own, others))
    return first, rest


def law_sentences(comparison: Comparison) -> list[str]:
    """Say what each fitted curve predicts at its last number of images; without full stops."""
    metric, found = comparison.metric, []
    for name, s in sorted(comparison.strategies.items()):
        if law := s.law:
            found.append(
                f"Extrapolated, {name} would reach {score(law.middle[-1], metric)} "
                f"({span((law.low[-1], law.high[-1]), metric)}) with {law.images[-1]:,.0f} training images"
            )
    return found


def left(dataset: DatasetSummary) -> tuple[Sequence[tuple[str, str]], int]:
    """Return the first images that were left out, as path and reason, and how many more there are."""
    excluded = dataset.excluded
    return excluded.first, sum(excluded.kinds.values()) - len(excluded.first)
