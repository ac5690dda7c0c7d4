"""The best recipe, trained again: for every seed, on all training images and on shares of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.common.files import read_json
from pipeline.common.outcome import Outcome
from pipeline.common.process_pool import Executor
from pipeline.common.progress import TrialProgress
from pipeline.config.params import Train
from pipeline.config.recipe import Recipe
from pipeline.execution.jobs import Job
from pipeline.network.build import build
from pipeline.tracking.runs import Unit
from pipeline.training import transferability, unit
from pipeline.training.loop import first_view
from pipeline.training.run_context import CostedNetwork, RunContext, unit_folder

MOST_SEPARATED = 10_000  # images by which features are judged: enough for a fraction of a point


def plan(recipe: Recipe, train: Train) -> list[Job]:
    """Return a job for each seed and share of the training images: the largest share, which takes longest, first."""
    pairs = [(fraction, seed) for fraction in sorted(train.fractions, reverse=True) for seed in train.seeds]
    recipes = {fraction: recipe.stretched(fraction, train.epoch_scaling) for fraction in train.fractions}
    return [Job((n,), (recipes[f],), seed, recipes[f].epochs, fraction=f) for n, (f, seed) in enumerate(pairs)]


def run(planned: Sequence[Job], executor: Executor, bar: TrialProgress) -> dict[float, dict[int, Outcome]]:
    """Do the retrainings; return their outcomes by share of the training images and by seed."""
    bar.expect({job.numbers[0]: job.until for job in planned})
    found: dict[float, dict[int, Outcome]] = {}
    for job, (outcome,) in zip(planned, executor.map(planned, bar.on_event), strict=True):
        found.setdefault(job.fraction, {})[job.seed] = _packed(outcome)
    return found


def _packed(outcome: Outcome) -> Outcome:
    """Return an outcome with probabilities in arrays, which take a quarter of the memory of lists."""

    def packed(part: dict[str, Any]) -> dict[str, Any]:
        return {key: np.array(values) for key, values in part.items()}

    return replace(outcome, valid=packed(outcome.valid), test=packed(outcome.test))


def tracked(
    planned: Sequence[Job],
    trained: Mapping[float, Mapping[int, Outcome]],
    points: Sequence[dict[str, Any]],
    tags: dict[str, str],
) -> Iterator[Unit]:
    """Yield retrainings as MLflow is to show them; `points` holds their scores on test by share and seed."""
    scores = {point["fraction"]: dict(zip(trained[point["fraction"]], point["test"])) for point in points}
    for job in planned:
        outcome, share = trained[job.fraction][job.seed], f"{100 * job.fraction:g} %"
        name = f"{tags['strategy']} seed {job.seed}" + (f", {share} of the images" if job.fraction < 1 else "")
        tested = {f"test_{metric}": value for metric, value in scores[job.fraction][job.seed].items()}
        measures = tested | outcome.cost.measures() | {"train_images": outcome.images}
        shown = job.recipes[0].model_dump() | {"strategy": tags["strategy"]}
        marks = tags | {"seed": str(job.seed), "fraction": f"{job.fraction:g}"}
        yield Unit(f"seed-{job.seed}-{job.fraction:g}", name, shown, outcome.epochs, measures, marks)


def wall_clock(
    planned: Sequence[Job], trained: Mapping[float, Mapping[int, Outcome]], setting: RunContext
) -> dict[str, float]:
    """Return what the retrainings took, whichever process did them: CPU-seconds of all, and of one on all images."""
    taken = [read_json(unit_folder(job.recipes[0], setting, job.seed, fraction=job.fraction) / unit.TIMING)
             for job in planned]  # fmt: skip
    whole = [each["seconds"] for job, each in zip(planned, taken) if job.fraction == 1]
    seen = [outcome.images * len(outcome.epochs) for outcome in trained[1.0].values()]
    return {
        "cpu_seconds": sum(each["cpu_seconds"] for each in taken),
        "seconds_per_training": sum(whole) / len(whole),  # its scoring included
        "images_per_second": sum(seen) / sum(whole),
    }


def separation(recipe: Recipe, setting: RunContext, seed: int) -> dict[str, float] | None:
    """Return how far a pretrained backbone's features, as they are, separate the classes; None of random weights."""
    if recipe.weights == "random":
        return None
    images = setting.dev
    rows = np.unique(np.linspace(0, len(images) - 1, MOST_SEPARATED).astype(np.int64))
    network = build(recipe, images, seed, setting.weight_store.find(recipe.backbone))
    features = first_view(CostedNetwork(network, recipe, setting, lambda count: None).inputs("head"), rows)
    pixels = transferability.thumbnails(np.asarray(images.images[rows]))
    return transferability.measure(features.cpu().numpy(), images.labels[rows], pixels)
