"""Give further seeds and shares of the images to the strategies that may still be the best, in rounds.

Who that is is decided on validation. Without `train.racing`, stage train has done all, and its results are passed on.
"""

from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pipeline.common.entry_point import exit_now, handle_user_errors, stage_parser
from pipeline.common.errors import UserError
from pipeline.common.progress import TrialProgress, one_thread_pool, quiet
from pipeline.common.timing import Stopwatch
from pipeline.config import params as parameters
from pipeline.config.constraints import Constraints


@handle_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    parser = stage_parser(__doc__, dev="folder of train and valid", test="folder of test",
                          trained="folder of train's results", weights="folder of what stage weights brought",
                          views="what stage views chose", work="folder for features and units",
                          out="folder for <strategy>.json and .csv", timings="file for timings")  # fmt: skip
    args = parser.parse_args(argv)
    params = parameters.load(args.params)
    names, watch = list(params.arms), Stopwatch()
    quiet()
    one_thread_pool(params.runtime.threads)
    from pipeline.common.files import write_json
    from pipeline.execution import so_far
    from pipeline.execution.rounds import rounds

    if rounds(params.train):
        _race(args, params, names)
    else:
        _pass_on(args.trained, args.out, names)
        print("race: nothing to give out, every strategy has all of its trainings")
    write_json(args.timings, watch.read())
    print(so_far.tell(args.out.parent, params))


def _pass_on(trained: Path, out: Path, names: Sequence[str]) -> None:
    """Take over what stage train wrote, byte by byte."""
    from pipeline.common.files import read_json, write_json, write_text

    for name in names:
        if not (trained / f"{name}.csv").is_file():
            raise UserError(f"{trained / name}.csv: no such file; run the stage that makes it: dvc repro")
        write_json(out / f"{name}.json", read_json(trained / f"{name}.json"))
        write_text(out / f"{name}.csv", (trained / f"{name}.csv").read_text(encoding="utf-8"))


def _race(args: Namespace, params: parameters.Params, names: list[str]) -> None:
    """Give out trainings until nothing is left that could change who is best; write all results."""
    from pipeline.common.files import read_json, write_csv, write_json
    from pipeline.common.lock import one_process
    from pipeline.config.metric_names import resolve_metric
    from pipeline.config.recipe import Recipe
    from pipeline.data import image_set
    from pipeline.execution import jobs
    from pipeline.execution.retraining import Retrainings
    from pipeline.execution.rounds import minimum, race, rounds
    from pipeline.statistics.racing import judge_of, stopping_level
    from pipeline.tracking.arm_runs import ArmTracker
    from pipeline.tracking.experiments import held_out, train_and_valid
    from pipeline.tracking.retraining_records import retraining_records
    from pipeline.training import results, unit
    from pipeline.training.choose_views import seen

    features = seen(args.views, params.features.tta, params.features.cache_gb)
    make_context = partial(jobs.open_context, args.dev, args.test, args.work, params.prepare.valid_fraction,
                           features, params.runtime, weights=args.weights)  # fmt: skip
    context = make_context()
    images, test = context.run_context.dev, context.tested()
    searched = context.run_context.validated(params.search.seed)
    known = {name: read_json(args.trained / f"{name}.json") for name in names}
    recipes = {name: Recipe(**known[name]["recipe"]) for name in names}
    metric = resolve_metric(params.compare.metric, image_set.training_counts(args.dev))
    # With limits on what may be used, the best may miss one, or another size be asked for: then nobody is stopped.
    limited, to_give = params.constraints != Constraints(), rounds(params.train)
    level = 0.0 if limited else stopping_level(params.compare.confidence, len(names), len(to_give))
    least = len(minimum(params.train))
    most = len(names) * (least + sum(map(len, to_give)))
    used = [*train_and_valid(params.data.name, args.dev, images), held_out(params.data.name, args.test, test)]
    with (
        one_process(args.work / "race.lock"),
        jobs.executor(params.search.workers, make_context, context, params.cluster) as executor,
        TrialProgress("race", most, most, "training") as bar,
    ):
        retrainings = Retrainings(recipes, params.train, context, executor, bar)
        judge = judge_of(images.labels, metric, params.compare.worth, level)
        trained, stopped = race(names, params.train, retrainings.do, judge)
        tracker = ArmTracker(args.params.resolve().parent, params.tracking.experiment, *used)
        took = partial(unit.timing, context=context.run_context)
        for name in names:
            kept, diverged = results.finite(trained[name])
            points = results.curve(kept, images, test)
            write_csv(args.out / f"{name}.csv", results.predictions(kept, images, test, searched))
            file = args.out / f"{name}.json"
            write_json(file, results.raced(known[name], kept, points, diverged, stopped.get(name), images, test))
            tags = {"stage": "race", "strategy": name, "backbone": recipes[name].backbone}
            records = retraining_records(retrainings.jobs[name][least:], kept, points, took, tags)
            tracker.raced(name, args.trained / file.name, file, records, {**tags, "stage": "arm"})
    given = sum(map(len, retrainings.jobs.values()))
    early = ", ".join(f"{name} (behind {why.behind})" for name, why in stopped.items()) or "none"
    print(f"race: {given} of at most {most} trainings; stopped early: {early}")


if __name__ == "__main__":
    exit_now(main())
