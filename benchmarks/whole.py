"""What the whole search of all enabled strategies costs, against the plain way at the same configurations."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from benchmarks.demo import Demo, clock
from benchmarks.plain import Files, Price, price
from pipeline.common.files import write_json
from pipeline.common.progress import Progress
from pipeline.config.recipe import Recipe
from pipeline.data.folds import train_valid
from pipeline.data.image_set import ImageSet

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = 128  # images by which the plain way is priced
MOST_EPOCH_SECONDS = 15  # trials dearer than this are not trained to the end for the comparison of losses


def measure(demo: Demo) -> dict[str, Any]:
    """Run the search as `dvc repro` does, price the plain way, and train what was pruned to the end."""
    found: dict[str, Any] = {"strategies": {}}
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder)
        raw = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        raw["search"]["workers"] = 1
        (site / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
        for name in demo.params.enabled:
            with clock() as ours:
                result = _tune(demo, site, name)
            recipes = _recipes(demo, name, pd.read_csv(site / f"{name}.csv"))
            plain = _plain(demo, recipes)
            quality = _quality(demo, name, recipes, result, plain["prices"], site / ".headstart")
            found["strategies"][name] = {
                "configurations": len(recipes),
                "ours_cpu_seconds": ours.seconds,
                "plain_cpu_seconds": plain["seconds"],
                "ours_flops": result["search_flops"],
                "plain_flops": plain["flops"],
                **quality,
            }
    rows = found["strategies"].values()
    found["whole_search"] = sum(r["ours_cpu_seconds"] for r in rows) / sum(r["plain_cpu_seconds"] for r in rows)
    found["in_flops"] = sum(r["ours_flops"] for r in rows) / sum(r["plain_flops"] for r in rows)
    return found


def _tune(demo: Demo, site: Path, name: str) -> dict[str, Any]:
    """Run a strategy's tune stage in a folder of its own; return what it exports."""
    paths = {"dev": demo.dev.resolve(), "work": site / ".headstart", "out": site, "timings": site / "timings.json",
             "weights": site / "weights", "views": site / "views.json", "params": site / "params.yaml"}  # fmt: skip
    write_json(paths["views"], {"views": demo.params.features.views})
    argv = [str(word) for option, path in paths.items() for word in (f"--{option}", path)]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{site / 'mlflow.db'}"}
    subprocess.run([sys.executable, "-m", "pipeline.stages.tune", name, *argv], check=True, cwd=ROOT, env=environment)
    return json.loads((site / f"{name}.json").read_text(encoding="utf-8"))


def _recipes(demo: Demo, name: str, table: pd.DataFrame) -> dict[int, Recipe]:
    """Return each trial's recipe."""
    row = demo.row(name)
    rows = table[["trial", *row.space]].to_dict("records")
    return {r.pop("trial"): Recipe(**row.recipe, **r) for r in rows}


def _shape(recipe: Recipe) -> tuple[Any, ...]:
    return recipe.backbone, recipe.weights, recipe.cut, recipe.image_size, recipe.head, recipe.hidden


def _plain(demo: Demo, recipes: dict[int, Recipe]) -> dict[str, Any]:
    """Price every configuration the plain way: all epochs, through the whole network."""
    context, files = demo.context(), demo.files()
    kinds = {_shape(recipe): recipe for recipe in recipes.values()}
    train, valid = (len(rows) for rows in train_valid(context.dev, context.valid_fraction, 0))
    prices = _prices(kinds, context.dev, files)
    seconds, flops = 0.0, 0
    for recipe in recipes.values():
        one = prices[_shape(recipe)]
        seconds += recipe.epochs * (train * one.train_seconds + valid * one.valid_seconds)
        flops += recipe.epochs * (train * one.train_flops + valid * one.valid_flops)
    return {"seconds": seconds, "flops": flops, "prices": prices}


def _prices(kinds: dict[tuple[Any, ...], Recipe], images: ImageSet, files: Files) -> dict[tuple[Any, ...], Price]:
    with Progress("pricing the plain way", len(kinds), "kind") as bar:
        found = {}
        for shape, recipe in kinds.items():
            found[shape] = price(recipe, images, files, SAMPLE)
            bar.step()
    return found


def _quality(
    demo: Demo, name: str, recipes: dict[int, Recipe], result: dict[str, Any], prices: Any, work: Path
) -> dict[str, Any]:
    """Train the configurations to the end, pruned or not: the losses that the plain way would have found.

    Left out are those whose epochs are so dear that training them to the end would take hours; it says how many.
    """
    train, _ = train_valid(demo.context().dev, demo.params.prepare.valid_fraction, demo.params.search.seed)
    quick = {n: r for n, r in recipes.items() if len(train) * prices[_shape(r)].train_seconds <= MOST_EPOCH_SECONDS
             or r.cut != "input"}  # fmt: skip
    outcomes = demo.train(quick, work, f"{name}, to the end")
    losses = {n: o.epochs[-1].valid["log_loss"] for n, o in outcomes.items() if not o.failed}
    winner = min(losses, key=lambda n: losses[n])
    return {
        "ours_best_log_loss": result["value"],
        "plain_best_log_loss": losses[winner],
        "standard_error": demo.standard_error(recipes[winner]),
        "not_trained_to_the_end": len(recipes) - len(quick),
    }
