"""A first answer on prepared images: train, compare on validation images, write the page, say what going on takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.common.timing import Stopwatch
from pipeline.config.params import Params

if TYPE_CHECKING:
    from pipeline.config.recipe import Recipe
    from pipeline.execution.first_answer import Trainings
    from pipeline.search.forecast import Forecast
    from pipeline.statistics.schema import Comparison
    from pipeline.training.image_costs import ImageCosts
    from pipeline.training.results import Trained
    from pipeline.training.sketched_network import Sketches

PAGE, COMPARISON, VERDICT, FORECAST = "report.html", "comparison.json", "verdict.json", "forecast.json"


@dataclass(frozen=True)
class Places:
    """Where a first answer finds what it needs, and where it leaves its results."""

    dev: Path  # train and valid
    summary: Path  # a folder with summary.json
    weights: Path | None
    work: Path
    out: Path


def answer(settings: Params, root: Path, places: Places, commands: Sequence[str], watch: Stopwatch) -> str:
    """Give the first answer; return what to print.

    `settings` are those of a whole run, and `commands` this command and the one that goes on.
    """
    from pipeline.common import provenance
    from pipeline.common.files import write_json, write_text
    from pipeline.config.quick import quick
    from pipeline.data import image_set
    from pipeline.execution import first_answer
    from pipeline.report import markdown, page
    from pipeline.verdict.advice import advise
    from pipeline.verdict.sentences.first_answer import first_answer as told

    params = quick(settings)
    make_context = first_answer.open_data(params, places.dev, places.work, places.weights)
    found = first_answer.train(params, make_context, _Lines(params, places.dev).say)
    images = found.context.run_context.dev
    compared, measured = _compared(params, places, found)
    verdict, to_come = advise(compared), _forecasts(settings, places, found)
    whole = {name: row.full_recipe(row.default_values()) for name, row in settings.strategies.items()}
    spent = watch.read()["cpu_seconds"]
    left = sum(each.whole for each in to_come.values())
    said = told(compared, whole, spent, left, f"`{commands[1]}`")
    about = {**provenance.about(root, places.dev / image_set.MANIFEST), "commands": [*commands[:1]]}
    compared.save(places.out / COMPARISON)
    verdict.save(places.out / VERDICT)
    write_text(places.out / PAGE, page.render(compared, verdict, {}, {}, measured.tested, images, about, first=said))
    write_json(places.out / FORECAST, {"strategies": to_come, "trainings": _taken(found), **watch.read()})
    notes = "\n".join(f"- {sentence}" for sentence in said)
    return f"{markdown.summary(compared, verdict)}\n\n{notes}\n\n{places.out / PAGE}"


class _Lines:
    """A line for each strategy, as soon as its trainings are done."""

    def __init__(self, params: Params, dev: Path) -> None:
        from pipeline.config.metric_names import resolve_metric
        from pipeline.data import image_set

        self._all, self._done, self._images = len(params.strategies), 0, image_set.load(dev)
        self._metric = resolve_metric(params.compare.metric, image_set.training_counts(dev))

    def say(self, name: str, trained: "Trained", seconds: float) -> None:
        """Print it: the score on validation, and what the trainings took."""
        from pipeline.training.results import means, summarise
        from pipeline.verdict.formatting import called, duration, score

        self._done += 1
        sound = {seed: outcome for seed, outcome in trained[1.0].items() if not outcome.failed}
        told = "its loss diverged"
        if sound:
            mean = means(summarise(sound, self._images, self._images))[f"valid_{self._metric}"]
            told = f"validation {called(self._metric)} {score(mean, self._metric)}"
        print(f"{name}: {told}, {duration(seconds)} of processor time ({self._done} of {self._all})", flush=True)


def _compared(params: Params, places: Places, found: "Trainings") -> tuple["Comparison", Any]:
    """Return the comparison, and what it rests on."""
    from pipeline.config.metric_names import objective, resolve_metric
    from pipeline.data.summary import SUMMARY, DatasetSummary
    from pipeline.statistics import validated
    from pipeline.statistics.build_comparison import build_comparison

    dataset, images = DatasetSummary.load(places.summary / SUMMARY), found.context.run_context.dev
    goal = objective(resolve_metric(params.compare.metric, dataset.counts["train"]))
    measured = validated.measured(found.trained, found.recipes, found.model_bytes, images, goal)
    first = next(o for by_fraction in found.trained.values() for o in by_fraction[1.0].values() if not o.failed)
    return build_comparison(measured, dataset, params.compare, validated.counts(first, images)), measured


def _forecasts(settings: Params, places: Places, found: "Trainings") -> Mapping[str, "Forecast"]:
    """Return what a whole run of each strategy will take, by the speed of the trainings that were done."""
    from pipeline.data.summary import SUMMARY, DatasetSummary
    from pipeline.network.pretrained import WeightStore
    from pipeline.search.forecast import forecast
    from pipeline.search.workload import Counts, steps
    from pipeline.training.sketched_network import Sketches

    context, dataset = found.context.run_context, DatasetSummary.load(places.summary / SUMMARY)
    train, valid, test = (sum(dataset.counts[split].values()) for split in ("train", "valid", "test"))
    counts = Counts(train, valid, test, len(context.views), len(context.scored))
    images, known = context.dev, set[Any]()
    weights, threads = WeightStore(places.weights), settings.runtime.threads
    sketches = Sketches(images.size, images.channels, len(images.classes), weights, threads)
    told = {}
    for name, speed in _speeds(found).items():
        row = settings.strategies[name]
        work = steps(row, settings.search, settings.train, counts, sketches.of, sketches.flops, known)
        told[name] = forecast(work, partial(_seconds, sketches, speed))
    return told


def _speeds(found: "Trainings") -> Mapping[str, tuple[float, float]]:
    """Return the seconds that an operation took in each strategy's trainings, and in feature passes."""
    passes: dict[str, int] = {}
    alone, extra = {}, 0.0
    for name, trained in found.trained.items():
        passes |= next(iter(trained[1.0].values())).cost.passes
        rates = [taken / flops for taken, flops in found.seconds[name] if flops]
        alone[name] = min(rates, default=0.0)  # of a training that found its features cached
        extra += sum(max(taken - alone[name] * flops, 0.0) for taken, flops in found.seconds[name])
    return {name: (rate, extra / max(sum(passes.values()), 1)) for name, rate in alone.items()}


def _seconds(sketches: "Sketches", speed: tuple[float, float], recipe: "Recipe") -> "ImageCosts":
    """Return what an image costs under a recipe, in seconds; heads, whose speeds differ widely, are timed."""
    from pipeline.training.image_costs import scaled

    flops = sketches.flops(recipe)
    passes = scaled(flops, speed[1]).passes
    return replace(sketches.seconds(recipe) if recipe.cut == "head" else scaled(flops, speed[0]), passes=passes)


def _taken(found: "Trainings") -> dict[str, dict[str, float]]:
    """Return CPU-seconds and FLOPs of each strategy's trainings."""
    return {
        name: {"cpu_seconds": sum(taken for taken, _ in each), "fit_flops": sum(flops for _, flops in each)}
        for name, each in found.seconds.items()
    }
