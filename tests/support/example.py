"""A comparison as `compare` writes it, complete and the same each time, for tests of what reads it."""

from collections.abc import Iterable, Sequence
from itertools import combinations, pairwise
from math import log2
from statistics import NormalDist
from typing import Any

from pipeline.config.metric_names import LOWER_IS_BETTER, METRICS
from pipeline.statistics.intervals import holm
from pipeline.statistics.schema import Comparison
from pipeline.statistics.timings import StrategyTimings

CLASSES = ("ash", "beech", "oak")
TRANSFER = {"h_score": 0.9, "h_score_if_random": 0.2, "log_me": 0.3, "ridge_accuracy": 0.84, "pixels_h_score": 0.5,
            "pixels_h_score_if_random": 0.3, "pixels_log_me": -0.1, "pixels_ridge_accuracy": 0.6,
            "majority": 0.5}  # fmt: skip
STRATEGIES: dict[str, dict[str, Any]] = {
    "frozen": {"accuracy": 0.864, "train_flops": 2e12},
    "finetune": {"cut": 5, "accuracy": 0.878, "train_flops": 4e12},
    "scratch": {"weights": "random", "cut": "input", "backbone": "compact", "image_size": 96, "accuracy": 0.81,
                "train_flops": 5e12, "predict_flops": 2e8, "parameters": 3e5, "model_bytes": 1.3e6, "transfer": None,
                "slope": 0.05},
}  # fmt: skip
DEFAULTS: dict[str, Any] = {
    "weights": "pretrained", "cut": "head", "backbone": "efficientnet_lite0", "image_size": 128,
    "accuracy": 0.85,  # on test; what the other metrics are follows from it
    "valid": None,  # accuracy on validation; that on test if None
    "slope": 0.02,  # of accuracy, lost each time the images are halved
    "recalls": {},  # by class, in place of the accuracy
    "train_flops": 2e12, "predict_flops": 1e9, "parameters": 3.4e6, "model_bytes": 1.35e7, "transfer": TRANSFER,
}  # fmt: skip
LEVELS = {"accuracy": 0.0, "balanced_accuracy": -0.02, "roc_auc": 0.06}
TEST_IMAGES, TRAIN_IMAGES = 200, 1600


def comparison(
    strategies: dict[str, dict[str, Any]] | None = None,
    *,
    metric: str = "accuracy",
    reach: float = 0.025,
    paired: float = 0.018,
    seeds: int = 3,
    fractions: tuple[float, ...] = (0.1, 0.25, 0.5, 1.0),
    classes: tuple[str, ...] = CLASSES,
    crossings: dict[tuple[str, str], dict[str, Any]] | None = None,
    **changes: Any,
) -> Comparison:
    """Return a comparison of strategies, by name what differs from DEFAULTS.

    `reach` is half the interval of a score, `paired` half that of a difference. `crossings` holds, by pair of names
    in order, what differs from an unclear crossing. `changes` replace keys of the whole.
    """
    rows = {name: {**DEFAULTS, **row} for name, row in (strategies or STRATEGIES).items()}
    count = {"train": TRAIN_IMAGES, "valid": TRAIN_IMAGES // 4, "test": TEST_IMAGES}
    made = {name: _strategy(row, reach, seeds, fractions, classes) for name, row in rows.items()}
    sign = 1 if metric in LOWER_IS_BETTER else -1
    valid = {name: sign * s["valid"][metric]["mean"] for name, s in made.items()}
    unclear = {"outcome": "unclear", "leader": None, "overtaker": None, "images": None, "ci": None, "crossings": 0,
               "not_before": None}  # fmt: skip
    found: dict[str, Any] = {
        "metric": metric,
        "metric_is_auto": False,
        "confidence": 0.95,
        "worth": 0.005,
        "seeds": seeds,
        "dataset": {
            "name": "leaves", "digest": "d1g35t", "classes": classes, "duplicates": 0, "channels": 3,
            "counts": {split: _shares(total, classes) for split, total in count.items()}, "images": sum(count.values()),
            "excluded": {"kinds": {}, "first": []}, "marks": {}, "notes": [],
        },
        "strategies": made,
        "pairs": _pairs(made, metric, paired),
        "joint": joint({name: {p["images"]: p["scores"][metric]["mean"] for p in s["curve"]}
                        for name, s in made.items()}, paired),
        "crossovers": [
            {"a": a, "b": b, **unclear, **(crossings or {}).get((a, b), {})} for a, b in combinations(sorted(rows), 2)
        ],
        "ranking": None,
        "winner": min(sorted(valid), key=valid.__getitem__),
    }  # fmt: skip
    return Comparison.model_validate(found | changes)


def joint(means: dict[str, dict[int, float]], reach: float) -> dict[str, Any]:
    """Return joint scores by strategy and images, with half the interval of a difference at any size."""
    cells = [(name, images) for name in sorted(means) for images in sorted(means[name])]
    own = (reach / NormalDist().inv_cdf(0.975)) ** 2 / 2
    names = [name for name, _ in cells]
    return {
        "strategies": names, "images": [images for _, images in cells],
        "means": [means[name][images] for name, images in cells],
        "from_images": [[own if a == b else 0.0 for b in names] for a in names],
        "from_seeds": [[0.0] * len(cells) for _ in cells],
    }  # fmt: skip


def changed(compared: Comparison, name: str, **changes: Any) -> Comparison:
    """Return a comparison with other fields of one strategy."""
    strategy = compared.strategies[name].model_copy(update=changes)
    return compared.model_copy(update={"strategies": {**compared.strategies, name: strategy}})


def with_better(compared: Comparison, better: Sequence[str | None]) -> Comparison:
    """Return a comparison in which these are significantly better, pair by pair."""
    pairs = [p.model_copy(update={"better": name}) for p, name in zip(compared.pairs, better, strict=True)]
    return compared.model_copy(update={"pairs": tuple(pairs)})


def timings(names: Iterable[str]) -> dict[str, StrategyTimings]:
    """Return timings by strategy: each of `names` takes twice the time of the one before."""
    found = {}
    for number, name in enumerate(names):
        longer = 2.0**number
        latency = {1: {"p50": 5 * longer, "p95": 7 * longer}, 32: {"p50": 100 * longer, "p95": 130 * longer}}
        found[name] = StrategyTimings.model_validate({
            "peak_memory_bytes": 900_000_000, "latency_ms": latency, "tune": {"cpu_seconds": 40 * longer},
            "train": {"cpu_seconds": 90.0, "seconds_per_training": 30 * longer, "images_per_second": 50 / longer},
        })  # fmt: skip
    return found


def _shares(total: int, classes: tuple[str, ...]) -> dict[str, int]:
    """Share images out, half of them to the first class."""
    others = total // 2 // max(len(classes) - 1, 1)
    return {name: total - others * (len(classes) - 1) if name == classes[0] else others for name in classes}


def _scores(accuracy: float, reach: float, seeds: int) -> dict[str, Any]:
    means = {**{m: accuracy + more for m, more in LEVELS.items()}, "log_loss": 1.1 - accuracy}
    steps = [0.004 * (seed - (seeds - 1) / 2) for seed in range(seeds)]
    return {
        m: {"mean": means[m], "ci": [means[m] - reach, means[m] + reach], "per_seed": [means[m] + s for s in steps]}
        for m in METRICS
    }


def _strategy(
    row: dict[str, Any], reach: float, seeds: int, fractions: tuple[float, ...], classes: tuple[str, ...]
) -> dict[str, Any]:
    recipe = {key: row[key] for key in ("backbone", "weights", "cut", "image_size")}
    valid = row["accuracy"] if row["valid"] is None else row["valid"]
    frozen = row["cut"] == "head"
    recalls = {name: row["recalls"].get(name, row["accuracy"]) for name in classes}
    images = _shares(TEST_IMAGES, classes)
    return {
        "recipe": {**recipe, "epochs": 20, "batch_size": 32, "learning_rate": 0.00123456},
        "valid": _scores(valid, reach, seeds),
        "test": _scores(row["accuracy"], reach, seeds),
        "confusion": _confusion(recalls, {name: seeds * n for name, n in images.items()}),
        "classes": {
            name: {"images": images[name], "recall": {"mean": r, "ci": [max(0.0, r - 0.04), min(1.0, r + 0.04)]},
                   "precision": r, "f1": r} for name, r in recalls.items()
        },
        "calibration": {
            "temperature": [1.2] * seeds,
            "raw": {"ece": 0.06, "ece_if_calibrated": 0.01, "log_loss": 1.1 - row["accuracy"], "bins": _bins(0.05)},
            "scaled": {"ece": 0.02, "ece_if_calibrated": 0.01, "log_loss": 1.08 - row["accuracy"], "bins": _bins(0.01)},
        },
        "curve": [_point(row, fraction, reach, seeds) for fraction in fractions],
        "cost": {
            "search_flops": 8 * row["train_flops"], "train_flops": row["train_flops"],
            "fit_flops": round(row["train_flops"] * (0.01 if frozen else 0.6)), "predict_flops": row["predict_flops"],
            "parameters": row["parameters"], "trainable_parameters": 2562 if frozen else row["parameters"],
            "model_bytes": row["model_bytes"],
        },
        "search": {"trials": {"COMPLETE": 4, "PRUNED": 12}, "search_flops": 8 * row["train_flops"],
                   "budget_flops": 5e13, "ended_by": "trials"},
        "transfer": row["transfer"], "law": None,
    }  # fmt: skip


def _point(row: dict[str, Any], fraction: float, reach: float, seeds: int) -> dict[str, Any]:
    scores = _scores(row["accuracy"] + row["slope"] * log2(fraction), reach, seeds)
    flops = round(row["train_flops"] * (0.2 + 0.8 * fraction))
    return {"fraction": fraction, "images": round(TRAIN_IMAGES * fraction), "train_flops": flops, "scores": scores}


def _confusion(recalls: dict[str, float], images: dict[str, int]) -> list[list[int]]:
    names, table = list(recalls), []
    for i, name in enumerate(names):
        right = round(recalls[name] * images[name])
        row = [0] * len(names)
        row[i], row[(i + 1) % len(names)] = right, row[(i + 1) % len(names)] + images[name] - right
        table.append(row)
    return table


def _bins(error: float) -> list[dict[str, float]]:
    ends = [0.5, 0.7, 0.9, 1.0]
    return [
        {"low": low, "high": high, "share": 1 / 3, "confidence": (low + high) / 2,
         "accuracy": (low + high) / 2 - error} for low, high in pairwise(ends)
    ]  # fmt: skip


def _pairs(strategies: dict[str, Any], metric: str, reach: float) -> list[dict[str, Any]]:
    pairs = [{"a": a, "b": b, "differences": {}} for a, b in combinations(sorted(strategies), 2)]
    for m in METRICS:
        for pair in pairs:
            means = [strategies[pair[side]]["test"][m]["mean"] for side in ("a", "b")]
            difference = round(means[0] - means[1], 12)
            z = difference / (reach / NormalDist().inv_cdf(0.975))
            pair["differences"][m] = {
                "difference": difference,
                "ci": [difference - reach, difference + reach],
                "p_a_beats_b": NormalDist().cdf(-z if m in LOWER_IS_BETTER else z),
                "p_value": 2 * NormalDist().cdf(-abs(z)),
                "p_run_beats": 0.5,
            }
        for pair, p in zip(pairs, holm([pair["differences"][m]["p_value"] for pair in pairs])):
            pair["differences"][m]["p_adjusted"] = p
    for pair in pairs:
        found = pair["differences"][metric]
        ahead = "a" if found["p_a_beats_b"] > 0.5 else "b"
        pair["better"] = pair[ahead] if found["p_adjusted"] <= 0.05 else None
    return pairs
