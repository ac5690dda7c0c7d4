"""Turn the outcomes of one recipe, with several seeds and fractions of the images, into what stage train writes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.common.errors import UserError
from pipeline.common.outcome import Outcome
from pipeline.config.metric_names import METRICS
from pipeline.config.params import Train
from pipeline.config.recipe import Recipe
from pipeline.data.image_set import ImageSet
from pipeline.training import unit
from pipeline.training.metrics import score
from pipeline.training.run_context import RunContext
from pipeline.training.samples import images_an_epoch

Scores = dict[str, dict[int, dict[str, float]]]  # by split, seed and metric
Trained = Mapping[float, Mapping[int, Outcome]]  # by fraction of the training images, then by seed


def finite(trained: Trained) -> tuple[dict[float, dict[int, Outcome]], list[dict[str, Any]]]:
    """Return the trainings that did not diverge, and for each that did its seed, fraction and reason.

    A fraction of which nothing is left is left out. Raise UserError where that is all of the images.
    """
    kept = {f: {s: o for s, o in by_seed.items() if not o.failed} for f, by_seed in trained.items()}
    diverged = [
        {"seed": seed, "fraction": fraction, "reason": outcome.failed}
        for fraction, by_seed in trained.items()
        for seed, outcome in by_seed.items()
        if outcome.failed
    ]
    if not kept[1.0]:
        raise UserError(f"seed {diverged[0]['seed']}: {diverged[0]['reason']}; so did all other seeds. Lower the "
                        "learning_rate in this strategy's space.")  # fmt: skip
    return {fraction: by_seed for fraction, by_seed in kept.items() if by_seed}, diverged


def summarise(outcomes: Mapping[int, Outcome], dev: ImageSet, test: ImageSet) -> Scores:
    """Return scores by split and seed."""
    return {
        split: {seed: score(labels, probabilities) for seed, (_, labels, probabilities) in parts.items()}
        for split, parts in _parts(outcomes, dev, test).items()
    }


def _parts(outcomes: Mapping[int, Outcome], dev: ImageSet, test: ImageSet) -> dict[str, Any]:
    """Return (ids, labels, probabilities) by split and seed, for the splits that were scored."""
    found: dict[str, Any] = {}
    for seed, outcome in outcomes.items():
        for split, images, scored in (("valid", dev, outcome.valid), ("test", test, outcome.test)):
            if scored:
                rows = np.asarray(scored["rows"])
                seen = images.ids[rows], images.labels[rows], np.asarray(scored["probabilities"])
                found.setdefault(split, {})[seed] = seen
    return found


def predictions(trained: Trained, dev: ImageSet, test: ImageSet, searched: np.ndarray | None = None) -> pd.DataFrame:
    """Return a row per split, fraction, seed and image: id, label (an index), and the probability of each class.

    With the positions `searched` in train and valid of the images by which the search chose the recipe, a column
    `searched` says which rows are of these: 1, else 0.
    """
    tables = []
    for fraction in sorted(trained, reverse=True):
        for split, parts in _parts(trained[fraction], dev, test).items():
            for seed, (ids, labels, probabilities) in parts.items():
                table = pd.DataFrame(probabilities, columns=[f"p_{name}" for name in dev.classes])
                named = {"split": split, "fraction": fraction, "seed": seed, "id": ids, "label": labels}
                if searched is not None:
                    named["searched"] = np.isin(ids, dev.ids[searched]).astype(np.int8)
                for position, (name, values) in enumerate(named.items()):
                    table.insert(position, name, values)
                tables.append(table)
    return pd.concat(tables, ignore_index=True)


def best_seed(scores: Scores) -> int:
    """Return the seed whose network has the lowest validation log loss: the one to register."""
    return min(scores["valid"], key=lambda seed: (scores["valid"][seed]["log_loss"], seed))


def means(scores: Scores) -> dict[str, float]:
    """Return the mean over seeds of every score, named as in MLflow."""
    return {
        f"{split}_{metric}": float(np.mean([s[metric] for s in by_seed.values()]))
        for split, by_seed in scores.items()
        for metric in METRICS
    }


def of_seed(scores: Scores, seed: int) -> dict[str, float]:
    """Return one network's scores on test, named as in MLflow where it is the one that is registered."""
    return {f"model_test_{metric}": scores["test"][seed][metric] for metric in METRICS}


def curve(trained: Trained, dev: ImageSet, test: ImageSet) -> list[dict[str, Any]]:
    """Return the points of the learning curve, ascending: fraction, images, mean cost of a training, scores by seed.

    A point names its seeds where they are not those of all images.
    """
    return [
        {
            "fraction": fraction,
            "images": round(np.mean([outcome.images for outcome in trained[fraction].values()])),
            "train_flops": round(np.mean([outcome.cost.train_flops for outcome in trained[fraction].values()])),
            "test": list(summarise(trained[fraction], dev, test)["test"].values()),
            **({} if [*trained[fraction]] == [*trained[1.0]] else {"seeds": [*trained[fraction]]}),
        }
        for fraction in sorted(trained)
    ]


def document(
    scores: Scores,
    trained: Trained,
    points: list[dict[str, Any]],
    tuned: dict[str, Any],
    model_bytes: int,
    transfer: dict[str, float] | None,
    diverged: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Return what results/train/<strategy>.json holds."""
    outcomes = trained[1.0]
    costs = [outcome.cost.measures() for outcome in outcomes.values()]
    cost = {name: round(float(np.mean([c[name] for c in costs]))) for name in costs[0]}
    return {
        "strategy": tuned["strategy"],
        "recipe": tuned["recipe"],
        "seeds": list(outcomes),
        "best_seed": best_seed(scores),
        "cost": {**cost, "search_flops": tuned["search_flops"], "model_bytes": model_bytes},
        "curve": points,
        "transfer": transfer,
        **({"diverged": list(diverged)} if diverged else {}),
        **{split: list(by_seed.values()) for split, by_seed in scores.items()},
    }


def raced(
    known: Mapping[str, Any],
    trained: Trained,
    points: list[dict[str, Any]],
    diverged: Sequence[dict[str, Any]],
    stopped: Any,
    dev: ImageSet,
    test: ImageSet,
) -> dict[str, Any]:
    """Return what results/race/<strategy>.json holds: what stage train wrote, of all trainings.

    The best seed stays: its model is exported.
    """
    scores = summarise(trained[1.0], dev, test)
    cost = known["cost"]
    found = document(scores, trained, points, {**known, "search_flops": cost["search_flops"]}, cost["model_bytes"],
                     known["transfer"], diverged)  # fmt: skip
    reason = {} if stopped is None else {"stopped": stopped.model_dump()}
    return {**found, "best_seed": known["best_seed"], **reason}


def wall_clock(trained: Trained, recipe: Recipe, wanted: Train, context: RunContext) -> dict[str, float]:
    """Return what the trainings took, in whichever process: CPU-seconds of all, and the speed on all images."""
    recipes = {fraction: recipe.with_scaled_epochs(fraction, wanted.epoch_scaling) for fraction in trained}
    taken = {
        fraction: [unit.timing(recipes[fraction], context, seed, fraction) for seed in by_seed]
        for fraction, by_seed in trained.items()
    }
    whole = [each["seconds"] for each in taken[1.0]]
    seen = [images_an_epoch(outcome.images, recipe) * len(outcome.epochs) for outcome in trained[1.0].values()]
    return {
        "cpu_seconds": sum(each["cpu_seconds"] for by_seed in taken.values() for each in by_seed),
        "seconds_per_training": sum(whole) / len(whole),  # its scoring included
        "images_per_second": sum(seen) / sum(whole),
    }
