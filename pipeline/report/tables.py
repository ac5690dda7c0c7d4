"""The report's tables: what stands in each row, picked from the comparison."""

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from pipeline.verdict.formatting import (
    confidence,
    digits,
    duration,
    handled,
    left_out,
    listed,
    megabytes,
    quantity,
    score,
    span,
)

FEW_CLASSES = 12  # up to which a confusion matrix is a table with numbers
LISTED = 20  # images left out that are named; EXCLUDED names all
EXCLUDED = "excluded.csv"  # in the data report's folder
SHOWN = 12  # rows of a long list that stand on the page at once

VERDICT: dict[str, Any] = {"recommended": None, "constraints": {}, "front": [], "excluded": {}, "reason": "",
                           "changes": [], "claims": [], "claims_note": ""}  # fmt: skip
OPTIONAL = ("curve", "law", "classes", "calibration", "search", "transfer")

Comparison = dict[str, Any]
Cells = dict[str, str | None]


def completed(comparison: Comparison) -> Comparison:
    """Return a comparison with None, or nothing, for every optional part that it lacks."""
    strategies = {name: dict.fromkeys(OPTIONAL) | s for name, s in comparison["strategies"].items()}
    pairs = [{"better": None} | pair for pair in comparison["pairs"]]
    least = {"seeds": 1, "confidence": 0.95, "crossovers": [], "ranking": None, "metric_reason": ""}
    return least | comparison | {"strategies": strategies, "pairs": pairs}


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
    rows = []
    for key, title in kinds.items():
        values = {name: s["cost"].get(key) for name, s in comparison["strategies"].items()}
        write = megabytes if key == "model_bytes" else lambda value: quantity(value).strip()
        rows.append((title, {name: None if v is None else write(v) for name, v in values.items()}))
    return [row for row in rows if any(row[1].values())]


def wall_clock_rows(comparison: Comparison, timings: dict[str, Any]) -> tuple[list[tuple[str, Cells]], list[str]]:
    """Return the costs felt on the machine as rows like those of `cost_rows`, and why some are missing.

    A row that no strategy has a value for is left out and named among the reasons.
    """
    rows, missing, partly = [], [], []
    for title, keys, write in _FELT:
        cells = {name: _found(timings.get(name), keys) for name in comparison["strategies"]}
        if all(value is None for value in cells.values()):
            missing.append(title)
            continue
        rows.append((title, {name: None if v is None else write(v) for name, v in cells.items()}))
        partly += [f"{title} of {name}" for name, value in cells.items() if value is None]
    reasons = [f"Not in the timings: {', '.join(missing)}."] if missing and rows else []
    if partly:
        reasons.append(f"A dash: not measured ({'; '.join(partly)}).")
    if not rows:
        reasons = ["No timings were given, so no seconds, latency or memory are shown."]
    return rows, reasons


def _milliseconds(value: float) -> str:
    return f"{digits(value)} ms"


_FELT: list[tuple[str, tuple[str, ...], Any]] = [
    ("CPU time of the search", ("tune", "cpu_seconds"), duration),
    ("CPU time of all trainings", ("train", "cpu_seconds"), duration),
    ("time of one training", ("train", "seconds_per_training"), duration),
    ("images trained on per second", ("train", "images_per_second"), digits),
    ("latency, 1 image: p50", ("latency_ms", "1", "p50"), _milliseconds),
    ("latency, 1 image: p95", ("latency_ms", "1", "p95"), _milliseconds),
    ("latency, 32 images: p50", ("latency_ms", "32", "p50"), _milliseconds),
    ("latency, 32 images: p95", ("latency_ms", "32", "p95"), _milliseconds),
    ("peak memory", ("peak_memory_bytes",), megabytes),
]  # fmt: skip


def _found(tree: Any, keys: tuple[str, ...]) -> float | None:
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree if isinstance(tree, int | float) and not isinstance(tree, bool) else None


_TRANSFER = {
    "ridge_accuracy": "leave-one-out accuracy of a linear classifier",
    "log_me": "LogME",
    "h_score": "H-score",
    "h_score_if_random": "H-score with labels at random",
}


def transfer_rows(comparison: Comparison) -> list[tuple[str, dict[str, float | None], float | None]]:
    """Return a row for each measure of how far features separate the classes: title, by strategy, of raw pixels."""
    found = {name: s["transfer"] for name, s in comparison["strategies"].items() if s.get("transfer")}
    rows = []
    for key, title in _TRANSFER.items():
        values = {name: scores.get(key) for name, scores in found.items()}
        pixels = next((scores.get(f"pixels_{key}") for scores in found.values()), None)
        if any(value is not None for value in values.values()):
            rows.append((title, values, pixels))
    return rows


def shares(confusion: list[list[int]]) -> np.ndarray:
    """Return a confusion matrix (true, predicted) with rows that sum to 1, or to 0 of a class without images."""
    counts = np.array(confusion, dtype=float)
    return counts / np.maximum(counts.sum(1, keepdims=True), 1)


def mistakes(confusion: list[list[int]], classes: list[str], seeds: int) -> list[dict[str, Any]]:
    """Return the commonest mistakes: true class, predicted class, images (a mean over seeds) and share of the class."""
    counts, parts = np.array(confusion), shares(confusion)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:SHOWN]
    return [
        {"true": classes[i], "said": classes[j], "images": counts[i, j] / seeds, "share": parts[i, j]}
        for i, j in zip(*np.unravel_index(order, counts.shape))
        if counts[i, j]
    ]


def heat(confusion: list[list[int]]) -> str:
    """Return a confusion matrix of many classes as a PNG's data URI: a pixel for each cell, opaque where many are."""
    parts = shares(confusion)
    pixels = np.zeros((*parts.shape, 4), np.uint8)
    pixels[..., :3] = (58, 143, 196)
    pixels[..., 3] = np.round(255 * np.sqrt(parts))  # the root, so that rare mistakes are seen
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def class_rows(comparison: Comparison) -> list[str]:
    """Return the classes, those that the recommended strategy recalls worst first; of a few, in their own order."""
    classes: list[str] = comparison["dataset"]["classes"]
    of = comparison["strategies"][comparison["recommended"]].get("classes") or {}
    if len(classes) <= FEW_CLASSES or not of:
        return classes
    return sorted(classes, key=lambda name: (of[name]["recall"]["mean"], name))


def total(comparison: Comparison, name: str) -> int:
    """Return how many images a class has in all splits."""
    return sum(counts[name] for counts in comparison["dataset"]["counts"].values())


def recipe_rows(comparison: Comparison) -> list[tuple[str, dict[str, Any], bool]]:
    """Return each setting with its value by strategy, and whether they differ; those that differ first."""
    recipes = {name: s["recipe"] for name, s in comparison["strategies"].items()}
    keys = sorted({key for recipe in recipes.values() for key in recipe})
    rows = [(key, {name: recipe.get(key) for name, recipe in recipes.items()}) for key in keys]
    told = [(key, values, len({str(v) for v in values.values()}) > 1) for key, values in rows]
    return sorted(told, key=lambda row: not row[2])


def constraint_chips(constraints: dict[str, Any]) -> list[str]:
    """Return each constraint as a few words."""
    words = {
        "train_flops": lambda v: f"one training within {quantity(v)}FLOPs",
        "train_minutes": lambda v: f"one training within {v:g} minutes",
        "latency_ms": lambda v: f"latency at most {v:g} ms",
        "model_mb": lambda v: f"model at most {v:g} MB",
        "min_accuracy": lambda v: f"accuracy at least {100 * v:g} %",
        "images": lambda v: f"{v:,} training images available",
    }
    chips = [words[key](v) for key, v in constraints.items() if key in words and v is not None]
    recalls = constraints.get("min_recall") or {}
    return chips + [f"recall of {name} at least {100 * v:g} %" for name, v in recalls.items()]


def headline(comparison: Comparison, verdict: dict[str, Any]) -> tuple[str, str]:
    """Return the verdict in a few words, and whether the others can be told from it."""
    name, names = verdict.get("recommended"), list(comparison["strategies"])
    if name is None:
        return "Nothing meets your constraints.", "Every strategy breaks at least one of them."
    sure = f"At {confidence(comparison)} confidence"
    rivals = sorted(n for n in verdict.get("admissible") or names if n != name)
    if not rivals:
        alone = (
            "There is nothing to compare it with." if len(names) == 1 else "No other strategy meets the constraints."
        )
        return f"Use {name}.", alone
    by_rival = {n: next(p["better"] for p in comparison["pairs"] if {p["a"], p["b"]} == {n, name}) for n in rivals}
    parts = {
        "it is better than": [n for n in rivals if by_rival[n] == name],
        "it cannot be told from": [n for n in rivals if by_rival[n] is None],
        "it is worse than": [n for n in rivals if by_rival[n] == n],
    }
    said = ", ".join(f"{words} {listed(found)}" for words, found in parts.items() if found)
    return f"Use {name}.", f"{sure} {said}."


MANY_CROSSINGS = 6  # pairs of curves, above which those with the recommended strategy come first


def crossings(comparison: Comparison) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return where curves cross, by the metric that decides; of many pairs, the recommended one's, then the others."""
    found = [c for c in comparison.get("crossovers", ()) if c["metric"] == comparison["metric"]]
    if len(found) <= MANY_CROSSINGS:
        return found, []
    own = [c for c in found if comparison["recommended"] in (c["a"], c["b"])]
    return own, [c for c in found if c not in own]


def law_sentences(comparison: Comparison) -> list[str]:
    """Return what each fitted law expects at its last number of images."""
    metric, found = comparison["metric"], []
    for name, s in sorted(comparison["strategies"].items()):
        if law := s.get("law"):
            found.append(
                f"By its law {name} would reach {score(law['middle'][-1], metric)} "
                f"({span((law['low'][-1], law['high'][-1]), metric)}) with {law['images'][-1]:,.0f} training images"
            )
    return found


def data_notes(dataset: Mapping[str, Any]) -> list[str]:
    """Return what was left out of a data set, what was not taken as it is, and how it was split, in sentences.

    A summary that was written before these were noted says nothing of them.
    """
    kinds, marks = (dataset.get("excluded") or {}).get("kinds"), dataset.get("marks")
    return [
        *([f"Left out: {left_out(kinds)}; results/data/{EXCLUDED} lists them."] if kinds else []),
        *([f"Not taken as they are: {handled(marks)}."] if marks else []),
        *(dataset.get("notes") or []),
    ]


def left(dataset: Mapping[str, Any]) -> tuple[list[list[str]], int]:
    """Return the first images that were left out, as path and reason, and how many more there are."""
    found = dataset.get("excluded") or {"kinds": {}, "first": []}
    return found["first"], sum(found["kinds"].values()) - len(found["first"])
