"""Retrain one strategy's best recipe with several seeds and shares of the images, and score the test split.

With `train.racing` it gets its minimum here; stage `race`, which sees all strategies, gives out the rest.
"""

from argparse import Namespace
from collections.abc import Sequence
from functools import partial

from pipeline.common.entry_point import exit_now, handle_user_errors, stage_parser
from pipeline.common.progress import TrialProgress, one_thread_pool, quiet
from pipeline.common.timing import Stopwatch
from pipeline.config import params as parameters
from pipeline.config.recipe import Recipe


@handle_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    args = _arguments(argv)
    params = parameters.load(args.params)
    quiet()
    one_thread_pool(params.runtime.threads)
    from pipeline.common.files import read_json, write_csv, write_json
    from pipeline.common.hashes import digest
    from pipeline.common.lock import one_process
    from pipeline.execution import jobs, so_far
    from pipeline.execution.retraining import Retrainings
    from pipeline.execution.rounds import minimum
    from pipeline.network import latency
    from pipeline.network.build import export_model
    from pipeline.tracking.arm_runs import ArmTracker
    from pipeline.tracking.experiments import held_out, train_and_valid
    from pipeline.tracking.retraining_records import retraining_records
    from pipeline.training import results, transferability, unit, unknown
    from pipeline.training.choose_views import seen
    from pipeline.training.run_context import unit_folder

    watch, features = Stopwatch(), seen(args.views, params.features.tta, params.features.cache_gb)
    make_context = partial(jobs.open_context, args.dev, args.test, args.work, params.prepare.valid_fraction,
                           features, params.runtime, weights=args.weights)  # fmt: skip
    context = make_context()
    run_context, images, test = context.run_context, context.run_context.dev, context.tested()
    recipe = Recipe(**(tuned := read_json(args.tuned))["recipe"])
    backbone = run_context.weight_store.find(recipe.backbone).identity(recipe.weights)
    key = digest({"recipe": recipe, "train": params.train, "test": test.digest, "backbone": backbone,
                  **run_context.identity()})  # fmt: skip
    used = [*train_and_valid(params.data.name, args.dev, images), held_out(params.data.name, args.test, test)]
    tags = {"strategy": args.strategy, "backbone": recipe.backbone}
    points, file = minimum(params.train), args.out / f"{args.strategy}.json"
    with one_process(args.work / f"train-{args.strategy}.lock"):
        tracker = ArmTracker(args.params.resolve().parent, params.tracking.experiment, *used)
        with (
            tracker.training(args.strategy, f"{args.strategy}-{key}", args.tuned, {**tags, "stage": "arm"}) as parent,
            jobs.executor(params.search.workers, make_context, context, params.cluster) as executor,
            TrialProgress(f"train {args.strategy}", len(points), len(points), "training") as bar,
        ):
            work = Retrainings({args.strategy: recipe}, params.train, context, executor, bar)
            trained, diverged = results.finite(work.do({args.strategy: points})[args.strategy])
            scores = results.summarise(trained[1.0], images, test)
            curve = results.curve(trained, images, test)
            took, marks = partial(unit.timing, context=run_context), {**tags, "stage": "train"}
            tracker.children(parent, retraining_records(work.jobs[args.strategy], trained, curve, took, marks))
            export_model(unit_folder(recipe, run_context, best := results.best_seed(scores)), args.model)
            unknown.add_unknown(args.model, trained[1.0][best])
            separation = transferability.separation(recipe, run_context, params.train.seeds[0])
            size, searched = latency.model_bytes(args.model), run_context.validated(params.search.seed)
            write_csv(file.with_suffix(".csv"), results.predictions(trained, images, test, searched))
            write_json(file, results.document(scores, trained, curve, tuned, size, separation, diverged))
            shown = {**recipe.model_dump(), "strategy": args.strategy}
            model = tracker.log_model(parent, args.strategy, args.model, shown, images.images[0])
            means = results.means(scores) | results.of_seed(scores, best)
            tracker.trained(parent, file, shown, model, means)
    taken = results.wall_clock(trained, recipe, params.train, run_context)
    speed = latency.measure(args.model, images.images, params.runtime.threads)
    write_json(args.timings, {**watch.read(), "train": taken, **speed})
    print(so_far.tell(args.out.parent, params))


def _arguments(argv: Sequence[str] | None) -> Namespace:
    parser = stage_parser(__doc__, dev="folder of train and valid", test="folder of test", tuned="the strategy's "
                          "result of tune", weights="folder of what stage weights brought",
                          views="what stage views chose", work="folder for features and units",
                          out="folder for <strategy>.json and .csv", model="folder for the best seed's model",
                          timings="file for timings")  # fmt: skip
    parser.add_argument("strategy", help="a row of `strategies` in params.yaml, or an arm: <row>-<backbone>")
    return parser.parse_args(argv)


if __name__ == "__main__":
    exit_now(main())
