"""What an epoch of partial fine-tuning costs on cached activations, against the same training without the cache."""

from typing import Any

import numpy as np
import torch

from benchmarks.demo import Demo, clock
from benchmarks.plain import Plain
from pipeline.common.progress import Progress
from pipeline.config.recipe import Recipe
from pipeline.data.folds import train_valid
from pipeline.network.build import build
from pipeline.network.cut import split
from pipeline.training.feature_pass import Pixels
from pipeline.training.loop import Fit, predict
from pipeline.training.metrics import score
from pipeline.training.run_context import CostedNetwork
from pipeline.training.samples import Samples

CUTS, SEEDS, EPOCHS = (3, 5), (1, 2, 3, 4, 5), 2
SAMPLE = 512  # images in a timed epoch; a quarter as many are looked at, as in the demo
REPEATS = 3


class Uncached:
    """A stem run anew for each batch, in full precision."""

    def __init__(self, stem: torch.nn.Module, pixels: Pixels) -> None:
        self.stem, self.pixels, self.views = stem.eval(), pixels, pixels.views

    def take(self, rows: np.ndarray, views: np.ndarray) -> torch.Tensor:
        """Return float32 (N, ...)."""
        with torch.no_grad():
            return self.stem(self.pixels.take(rows, views))


def recipe_of(demo: Demo, cut: int | str, epochs: int = EPOCHS) -> Recipe:
    """Return the fine-tuning recipe with a cut."""
    row = demo.row("finetune")
    return Recipe(**{**row.recipe, "epochs": epochs, "cut": cut, "learning_rate": 0.0004})


def measure(demo: Demo) -> dict[str, Any]:
    """Time epochs side by side, then train both ways with five seeds."""
    found: dict[str, Any] = {}
    with Progress("partial fine-tuning", len(CUTS) * (REPEATS + len(SEEDS)), "step") as bar:
        for cut in CUTS:
            times = _time(demo, cut, bar)
            found[f"partial_epoch_block{cut}"] = times["cached"] / times["plain"]
            found[f"block{cut}"] = {
                "ms per image": {name: 1e3 * seconds / SAMPLE for name, seconds in times.items()},
                "over the same without decoding": times["cached"] / times["plain, not decoded"],
                "over training everything the plain way": times["cached"] / times["plain, everything"],
                **_same(demo, cut, bar),
            }
    return found


def _time(demo: Demo, cut: int, bar: Progress) -> dict[str, float]:
    """Return the CPU-seconds of an epoch, each way; the least of several."""
    context, files = demo.context(cuts=CUTS), demo.files()
    recipe, rows = recipe_of(demo, cut), np.arange(SAMPLE)
    valid = np.arange(SAMPLE, SAMPLE + SAMPLE // 4)
    network = build(recipe, context.dev, 0)
    inputs = CostedNetwork(network, recipe, context, lambda count: None).inputs(cut)
    _, body = split(network, cut)
    samples = Samples(inputs, context.dev.labels, rows)
    ways = {
        "plain": Plain(recipe, context.dev, files),
        "plain, not decoded": Plain(recipe, context.dev, Pixels(context.dev.images, context.views)),
        "plain, everything": Plain(recipe_of(demo, "input"), context.dev, files),
    }
    times: dict[str, list[float]] = {name: [] for name in (*ways, "cached")}
    for number in range(REPEATS):
        fit = Fit(body, recipe, number, context.device)
        with clock() as used:
            fit.epoch(samples)
            predict(body, inputs, valid, context.device)
        times["cached"].append(used.seconds)
        for name, way in ways.items():
            times[name].append(sum(way.epoch(rows, valid, number)))
        bar.step()
    return {name: min(seconds) for name, seconds in times.items()}


def _same(demo: Demo, cut: int, bar: Progress) -> dict[str, Any]:
    """Train with and without the cache; return the difference in validation log loss over the seeds."""
    context = demo.context(cuts=CUTS)
    differences, losses = [], []
    for seed in SEEDS:
        pair = {}
        for way in ("cached", "uncached"):
            recipe = recipe_of(demo, cut)
            network = build(recipe, context.dev, seed)
            stem, body = split(network, cut)
            if way == "cached":
                inputs = CostedNetwork(network, recipe, context, lambda count: None).inputs(cut)
            else:
                inputs = Uncached(stem, Pixels(context.dev.images, context.views))
            train, valid = train_valid(context.dev, context.valid_fraction, seed)
            fit = Fit(body, recipe, seed, context.device)
            for _ in range(EPOCHS):
                fit.epoch(Samples(inputs, context.dev.labels, train))
            pair[way] = score(context.dev.labels[valid], predict(body, inputs, valid, context.device))["log_loss"]
        differences.append(pair["cached"] - pair["uncached"])
        losses.append(pair["uncached"])
        bar.step()
    return {
        "log loss without the cache": float(np.mean(losses)),
        "standard deviation over seeds": float(np.std(losses, ddof=1)),
        "cached minus uncached, mean over seeds": float(np.mean(differences)),
        "largest difference": float(np.abs(differences).max()),
    }
