"""Made-up inputs of a report: any number of strategies, classes and seeds, with or without the optional parts."""

import functools
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config.metric_names import METRICS
from pipeline.data.image_set import ImageSet
from pipeline.report.page import render
from pipeline.statistics.schema import Comparison
from pipeline.statistics.timings import Timings
from pipeline.training.metrics import score
from pipeline.verdict.schema import Verdict
from tests.support.example import TRANSFER, changed, joint, timings

BINS = [{"low": 0.5, "high": 0.8, "share": 0.4, "confidence": 0.7, "accuracy": 0.6},
        {"low": 0.8, "high": 1.0, "share": 0.6, "confidence": 0.95, "accuracy": 0.9}]  # fmt: skip
CALIBRATION = {"temperature": [1.2, 1.3],
               "raw": {"ece": 0.07, "ece_if_calibrated": 0.02, "log_loss": 0.5, "bins": BINS},
               "scaled": {"ece": 0.03, "ece_if_calibrated": 0.02, "log_loss": 0.45, "bins": BINS}}  # fmt: skip


@dataclass
class Inputs:
    """What `page.render` takes."""

    comparison: Comparison
    verdict: Verdict
    timings: Timings = field(default_factory=dict)
    trials: dict[str, pd.DataFrame] = field(default_factory=dict)
    predictions: dict[str, pd.DataFrame] = field(default_factory=dict)
    test_images: ImageSet | None = None
    about: dict[str, Any] = field(default_factory=dict)

    def page(self, **more: Any) -> str:
        return render(**vars(self), **more)

    def compared(self, **changes: Any) -> "Inputs":
        """Return the inputs with other parts of the comparison."""
        return replace(self, comparison=self.comparison.model_copy(update=changes))

    def changed(self, name: str, **changes: Any) -> "Inputs":
        """Return the inputs with other fields of one strategy."""
        return replace(self, comparison=changed(self.comparison, name, **changes))


def inputs(
    strategies: int = 3, classes: int | list[str] = 3, seeds: int = 2, images: int = 40, **options: Any
) -> Inputs:
    """Return the inputs of a report with every part in it; `bare=True` leaves out all that may be missing."""
    rng = np.random.default_rng(strategies)
    known = classes if isinstance(classes, list) else [f"class-{n:03}" for n in range(classes)]
    names = [f"strategy-{n}" for n in range(strategies)]
    labels = np.sort(rng.permutation(max(images, len(known))) % len(known))
    tables = {name: _predictions(rng, labels, known, seeds) for name in names}
    counts = dict(zip(known, map(int, np.bincount(labels, minlength=len(known)))))
    counts = dict.fromkeys(("train", "valid", "test"), counts)
    dataset = {"name": "leaves", "digest": "d1g35t", "classes": known, "images": 3 * len(labels), "duplicates": 1,
               "channels": 3, "counts": counts, "excluded": {"kinds": {}, "first": []}, "marks": {},
               "notes": []}  # fmt: skip
    bare = bool(options.get("bare"))
    comparison = Comparison.model_validate({
        "metric": "accuracy", "metric_is_auto": False, "confidence": 0.95, "worth": 0.005, "seeds": seeds,
        "dataset": dataset,
        "winner": names[-1], "pairs": _pairs(names, rng), "crossovers": _crossovers(names, bare), "ranking": None,
        "strategies": {name: _strategy(tables[name], known, number, bare) for number, name in enumerate(names)},
        "joint": joint({name: {100: 0.5 + 0.01 * number} for number, name in enumerate(names)}, 0.03),
    })  # fmt: skip
    verdict = _verdict(names, known, bare)
    if bare:
        return Inputs(comparison, verdict)
    pixels = rng.integers(0, 256, (len(labels), 24, 24, 3), dtype=np.uint8)
    ids = _ids(len(labels))
    test = ImageSet(pixels, labels, np.array(known, dtype=object)[labels], ids, tuple(known), "d")
    about = {"commit": "c0ffee", "versions": {"torch": "9.9"}, "commands": ["uv run dvc repro"],
             "paths": {ids[0]: "shots/<first>.png"}}  # fmt: skip
    searches = {name: trials(number) for number, name in enumerate(names)}
    return Inputs(comparison, verdict, timings(names[:-1]), searches, tables, test, about)


@functools.cache
def drawn(classes: int | tuple[str, ...] = 3, **options: Any) -> str:
    """Return the page of such inputs; each takes a second and more, so that it is made once in a process."""
    return inputs(classes=list(classes) if isinstance(classes, tuple) else classes, **options).page()


def _verdict(names: list[str], classes: list[str], bare: bool) -> Verdict:
    recommended = {"recommended": names[0], "significant": False}
    answers = {"use": f"Use {names[0]}.", "loses": "It loses little.", "costs": "It costs least.",
               "changes": "Nothing would change this."}  # fmt: skip
    word = {"likeliest": "worse", "probability": 0.9, "gain": 0.01, "p_better": 0.6, "loss": 0.02}
    standings = {name: word | {"standing": "undecided", "decided_by": {"test_images": 3.0, "seeds": None}}
                 for name in names[1:]}  # fmt: skip
    given: dict[str, Any] = {
        **recommended, "unconstrained": {**recommended, "answers": answers}, "constraints": {}, "answers": answers,
        "standings": standings, "doubts": [],
        "admissible": names, "excluded": {}, "changes": [], "front": [],
        "front_predict": [], "claims": [], "claims_note": "",
    }  # fmt: skip
    if not bare:
        outcomes = ("supported", "leaning", "undecided", "leaning against", "contradicted")
        given |= {
            "constraints": {"train_flops": 1e12, "min_recall": {classes[0]: 0.5}}, "front": names[:2],
            "excluded": {names[-1]: ["too slow"]} if len(names) > 2 else {},
            "changes": ["With 4x the images: the other."],
            "claims": [{"number": n, "claim": f"Claim {n}", "outcome": outcome, "finding": f"It is {n} %.",
                        "evidence": f"{n} %"}
                       for n, outcome in enumerate(outcomes, 1)],
        }  # fmt: skip
    return Verdict.model_validate(given)


def _crossovers(names: list[str], bare: bool) -> list[dict[str, Any]]:
    unclear = {"outcome": "unclear", "leader": None, "overtaker": None, "images": None, "ci": None, "crossings": 0,
               "not_before": None}  # fmt: skip
    found = [{"a": a, "b": b, **unclear} for a, b in combinations(names, 2)]
    if found and not bare:
        found[0] |= {"outcome": "inside", "leader": names[1], "overtaker": names[1], "images": 50.0,
                     "ci": [20.0, 90.0], "crossings": 1}  # fmt: skip
    return found


def _ids(count: int) -> np.ndarray:
    return np.array([f"{n:032x}" for n in range(count)])


def _predictions(rng: np.random.Generator, labels: np.ndarray, classes: list[str], seeds: int) -> pd.DataFrame:
    parts = []
    for seed in range(1, seeds + 1):
        shares = rng.dirichlet(np.ones(len(classes)), len(labels)) + 0.7 * np.eye(len(classes))[labels] * rng.random(
            (len(labels), 1))  # fmt: skip
        table = pd.DataFrame(shares / shares.sum(1, keepdims=True), columns=[f"p_{name}" for name in classes])
        for split in ("valid", "test"):
            parts.append(table.assign(split=split, seed=seed, id=_ids(len(labels)), label=labels))
    return pd.concat(parts, ignore_index=True)


def _strategy(table: pd.DataFrame, classes: list[str], number: int, bare: bool) -> dict[str, Any]:
    columns = [f"p_{name}" for name in classes]
    test = table[table["split"] == "test"]
    by_seed = [score(t["label"].to_numpy(), t[columns].to_numpy()) for _, t in test.groupby("seed")]
    scores = {m: _interval([s[m] for s in by_seed]) for m in METRICS}
    confusion = np.zeros((len(classes), len(classes)), int)
    np.add.at(confusion, (test["label"], test[columns].to_numpy().argmax(1)), 1)
    train = 10 ** (9 + number)
    points = [{"fraction": f, "images": int(100 * f), "train_flops": round(train * f), "scores": scores}
              for f in ((1,) if bare else (0.1, 0.5, 1))]  # fmt: skip
    recall = {key: value for key, value in _interval([0.4 + 0.1 * number]).items() if key != "per_seed"}
    return {
        "recipe": {"backbone": f"net-{number}", "weights": "pretrained", "learning_rate": 0.00123456, "cut": "head",
                   "epochs": 20},
        "valid": scores,
        "test": scores,
        "confusion": confusion.tolist(),
        "cost": {"search_flops": 3e12, "train_flops": train, "predict_flops": 7e7, "parameters": 3.4e6,
                 "trainable_parameters": 900, "fit_flops": train // 2, "model_bytes": 13_600_000},
        "curve": points,
        "law": None,
        "calibration": CALIBRATION,
        "classes": {c: {"images": 5, "recall": recall, "precision": 0.5, "f1": 0.45} for c in classes},
        "search": {"trials": {"COMPLETE": 4, "PRUNED": 8}, "search_flops": 3e12, "budget_flops": None,
                   "ended_by": "trials"},
        "transfer": TRANSFER | {"ridge_accuracy": 0.8512, "pixels_ridge_accuracy": 0.781, "log_me": -0.38}
        if number and not bare else None,
    }  # fmt: skip


def _interval(values: list[float]) -> dict[str, Any]:
    mean = float(np.mean(values))
    return {"mean": mean, "ci": [mean - 0.03, mean + 0.03], "per_seed": values}


def _pairs(names: list[str], rng: np.random.Generator) -> list[dict[str, Any]]:
    pairs = []
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            gap = float(rng.normal(0, 0.04))
            row = {"difference": gap, "ci": [gap - 0.03, gap + 0.03], "p_a_beats_b": 0.6, "p_value": 0.2,
                   "p_adjusted": 0.4, "p_run_beats": 0.5}  # fmt: skip
            better = None if abs(gap) < 0.03 else a if gap > 0 else b
            pairs.append({"a": a, "b": b, "better": better, "differences": dict.fromkeys(METRICS, row)})
    return pairs


def trials(seed: int, count: int = 12) -> pd.DataFrame:
    """Return the table of a search: four trials trained to the end, one that diverged, the rest dropped early."""
    rng = np.random.default_rng(seed)
    value = rng.uniform(0.3, 0.9, count)
    value[-1] = np.inf
    done = np.arange(count) < min(4, count)
    return pd.DataFrame({
        "trial": range(count), "state": np.where(done, "COMPLETE", "PRUNED"), "value": value,
        "epochs": np.where(done, 6, 2), "flops": rng.integers(10**9, 10**11, count), "valid_accuracy": 0.5,
        "learning_rate": 10 ** rng.uniform(-4, -2, count), "head": rng.choice(["linear", "mlp"], count), "failed": "",
    })  # fmt: skip
