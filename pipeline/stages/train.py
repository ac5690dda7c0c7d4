"""Retrain one strategy's best recipe for every seed and share of the images, and open the test split to score it."""

from collections.abc import Sequence
from functools import partial

from pipeline.common.entry_point import arguments, exit_now, handle_user_errors
from pipeline.common.progress import TrialProgress, one_thread_pool, quiet
from pipeline.common.timing import Stopwatch
from pipeline.config import params as parameters
from pipeline.config.recipe import Recipe


@handle_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    parser = arguments(__doc__, dev="folder of train and valid", test="folder of test", tuned="the strategy's result "
                       "of tune", weights="folder of what stage weights "
                       "brought", work="folder for features and units", out="folder for <strategy>.json and .csv",
                       model="folder for the best seed's model", timings="file for timings")  # fmt: skip
    parser.add_argument("strategy", help="a row of `strategies` in params.yaml, or an arm: <row>-<backbone>")
    args = parser.parse_args(argv)
    params = parameters.load(args.params)
    quiet()
    one_thread_pool(params.runtime.threads)
    from pipeline.common.files import read_json, write_csv, write_json
    from pipeline.common.hashes import digest
    from pipeline.common.process_pool import Executor, alone
    from pipeline.execution import jobs, retraining
    from pipeline.network import build, latency
    from pipeline.tracking import runs
    from pipeline.training import results
    from pipeline.training.run_context import unit_folder

    watch = Stopwatch()
    make_context = partial(jobs.open_context, args.dev, args.test, args.work, params.prepare.valid_fraction,
                           params.features, params.runtime, weights=args.weights)  # fmt: skip
    context = make_context()
    setting, images, test = context.setting, context.setting.dev, context.tested()
    tuned = read_json(args.tuned)
    recipe = Recipe(**tuned["recipe"])
    backbone = setting.weight_store.find(recipe.backbone)
    identity = setting.identity() | {"backbone": backbone.identity(recipe.weights)}
    key = digest({"recipe": recipe, "train": params.train, "test": test.digest, **identity})
    dataset = runs.Dataset(params.data.name, images.digest, str(args.dev))
    tags = {"stage": "train", "strategy": args.strategy, "backbone": recipe.backbone}
    planned = retraining.plan(recipe, params.train)
    with alone(args.work / f"train-{args.strategy}.lock"):
        tracker = runs.MlflowTracker(args.params.resolve().parent, params.tracking.experiment, dataset)
        with (
            tracker.stage(f"train-{args.strategy}-{key}", f"train {args.strategy}", tags) as parent,
            Executor(params.search.workers, make_context, jobs.run, context) as executor,
            TrialProgress(f"train {args.strategy}", len(planned), len(planned), "training") as bar,
        ):
            trained = retraining.run(planned, executor, bar)
            results.check(trained)
            result = results.summarise(trained[1.0], images, test)
            points = results.curve(trained, images, test)
            tracker.children(parent, retraining.tracked(planned, trained, points, tags))
            build.export_model(unit_folder(recipe, setting, results.best_seed(result)), args.model)
            size = latency.model_bytes(args.model)
            known = retraining.separation(recipe, setting, params.train.seeds[0])
            write_csv(args.out / f"{args.strategy}.csv", results.predictions(trained, images, test))
            write_json(args.out / f"{args.strategy}.json",
                       results.document(result, trained, points, tuned, size, known))  # fmt: skip
            tracker.finish(parent, results.means(result), [])
    wall_clock = latency.measure(args.model, images.images, params.runtime.threads)
    write_json(
        args.timings,
        {**watch.read(), "train": retraining.wall_clock(planned, trained, setting), **wall_clock},
    )


if __name__ == "__main__":
    exit_now(main())
