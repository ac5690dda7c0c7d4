"""Train what a first answer rests on, arm by arm, and measure what that takes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.common.progress import TrialProgress
from pipeline.config.features import AUTO, Features
from pipeline.config.params import Params
from pipeline.config.recipe import Recipe
from pipeline.execution import jobs
from pipeline.execution.jobs import StageContext
from pipeline.execution.retraining import Retrainings
from pipeline.execution.rounds import every_point
from pipeline.network.latency import model_bytes
from pipeline.training import choose_views, unit
from pipeline.training.results import Trained
from pipeline.training.run_context import unit_folder

OnArm = Callable[[str, Trained, float], object]  # name, its trainings, their CPU-seconds


@dataclass(frozen=True)
class Trainings:
    """All trainings of a first answer, and what they took, by strategy."""

    context: StageContext
    recipes: Mapping[str, Recipe]
    trained: Mapping[str, Trained]
    model_bytes: Mapping[str, int]
    seconds: Mapping[str, list[tuple[float, float]]]  # CPU-seconds of each training, and its FLOPs without features


def open_data(params: Params, dev: Path, work: Path, weights: Path | None) -> Callable[[], StageContext]:
    """Return a function that opens the images, with the views that are seen; `auto` chooses them first."""
    recipes = {name: row.full_recipe({}) for name, row in params.strategies.items()}
    cuts = tuple(dict.fromkeys(recipe.cut for recipe in recipes.values()))
    features, fraction = params.features, params.prepare.valid_fraction
    if features.views == AUTO:
        every = Features(views=("identity", *choose_views.CANDIDATES), tta=features.tta, cache_gb=features.cache_gb)
        context = jobs.open_context(dev, None, work, fraction, every, params.runtime, cuts, weights).run_context
        judge = choose_views.recipe_that_judges(params.arms.values())
        tried = choose_views.choose_views(judge, context, features.tta, lambda count: None)
        kept = ("identity", *(each.view for each in tried if each.kept))
        features = features.model_copy(update={"views": kept})
    return partial(jobs.open_context, dev, None, work, fraction, features, params.runtime, cuts, weights, True)


def train(params: Params, make_context: Callable[[], StageContext], on_arm: OnArm) -> Trainings:
    """Do all trainings of all arms, or read back what is done; raise UserError as units do."""
    context = make_context()
    shared, points = context.run_context, every_point(params.train)
    recipes = {name: row.full_recipe({}) for name, row in params.strategies.items()}
    trained: dict[str, Trained] = {}
    sizes: dict[str, int] = {}
    seconds: dict[str, list[tuple[float, float]]] = {}
    with jobs.executor(params.search.workers, make_context, context, params.cluster) as executor:
        for name, recipe in recipes.items():
            with TrialProgress(name, len(points), len(points), "training") as bar:
                work = Retrainings({name: recipe}, params.train, context, executor, bar)
                trained[name] = work.do({name: points})[name]
            done = [(job, trained[name][job.fraction][job.seed]) for job in work.jobs[name]]
            took = [unit.timing(job.recipes[0], shared, job.seed, job.fraction)["cpu_seconds"] for job, _ in done]
            seconds[name] = [(each, outcome.cost.fit_flops) for each, (_, outcome) in zip(took, done, strict=True)]
            whole = next((seed for seed, outcome in trained[name][1.0].items() if not outcome.failed), None)
            sizes[name] = 0 if whole is None else model_bytes(unit_folder(recipe, shared, whole))
            on_arm(name, trained[name], sum(took))
    return Trainings(context, recipes, trained, sizes, seconds)
