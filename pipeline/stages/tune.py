"""Search one strategy's space on train and valid, and export the best recipe and all trials."""

from argparse import Namespace
from collections.abc import Sequence
from functools import partial

from pipeline.common.entry_point import exit_now, handle_user_errors, stage_parser
from pipeline.common.progress import TrialProgress, one_thread_pool, quiet
from pipeline.common.timing import Stopwatch
from pipeline.config import params as parameters


@handle_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    args = _arguments(argv)
    params = parameters.load(args.params)
    row = params.strategy(args.strategy)
    quiet()
    one_thread_pool(params.runtime.threads)
    from pipeline.common.files import write_csv, write_json
    from pipeline.common.lock import one_process
    from pipeline.config.metric_names import objective, resolve_metric
    from pipeline.data import image_set
    from pipeline.execution import jobs, so_far
    from pipeline.search import trials
    from pipeline.search.budget import budget_flops
    from pipeline.search.halving import whole_trainings
    from pipeline.search.study import open_study, study_key, tune
    from pipeline.search.trial_runner import TrialRunner
    from pipeline.tracking.arm_runs import ArmTracker
    from pipeline.tracking.experiments import train_and_valid
    from pipeline.tracking.trial_records import trial_record
    from pipeline.training.choose_views import seen

    watch = Stopwatch()
    features = seen(args.views, params.features.tta, params.features.cache_gb)
    make_context = partial(jobs.open_context, args.dev, None, args.work, params.prepare.valid_fraction,
                           features, params.runtime, row.cuts(), args.weights)  # fmt: skip
    context = make_context()
    run_context = context.run_context
    backbones = run_context.weight_store.identities(row.values("backbone"), row.values("weights"))
    minimised = objective(resolve_metric(params.compare.metric, image_set.training_counts(args.dev)))
    key = study_key(row, params.search, {**run_context.identity(), "backbones": backbones, "objective": minimised})
    used = train_and_valid(params.data.name, args.dev, run_context.dev)
    about = {"strategy": args.strategy, "backbone": str(row.recipe.get("backbone", "searched"))}
    tags = {**about, "stage": "tune", "seed": str(params.search.seed)}
    count, trainings = row.trials + (row.confirm or 0), whole_trainings(row, params.search)
    with one_process(args.work / f"tune-{args.strategy}.lock"):
        tracker = ArmTracker(args.params.resolve().parent, params.tracking.experiment, *used)
        study = open_study(args.work / "optuna.db", f"{args.strategy}-{key}")
        with (
            tracker.searching(args.strategy, f"{args.strategy}-{key}", {**about, "stage": "arm"}) as parent,
            jobs.executor(params.search.workers, make_context, context, params.cluster) as executor,
            TrialProgress(f"tune {args.strategy}", count, trainings) as bar,
        ):
            runner = TrialRunner(executor, bar, params.search.seed)
            tried: list[trials.FinishedTrial] = []
            for finished in tune(row, params.search, study, runner.train, minimised):
                runner.forget(run_context)
                tracker.children(parent, [trial_record(t, args.strategy, tags) for t in finished])
                tried += finished
            budget = budget_flops(tried, row, params.search)
            result = trials.document(tried, args.strategy, row.trials, budget)
            csv = args.out / f"{args.strategy}.csv"
            write_csv(csv, trials.table(tried))
            write_json(found := args.out / f"{args.strategy}.json", result)
            tracker.searched(parent, found, {f"search_valid_{minimised}": result["value"]}, [csv])
    write_json(args.timings, watch.read())
    print(so_far.tell(args.out.parent, params))


def _arguments(argv: Sequence[str] | None) -> Namespace:
    parser = stage_parser(__doc__, dev="folder of train and valid", weights="folder of what stage weights brought",
                          views="what stage views chose", work="folder for features, units and studies",
                          out="folder for <strategy>.json and .csv", timings="file for timings")  # fmt: skip
    parser.add_argument("strategy", help="a row of `strategies` in params.yaml, or an arm: <row>-<backbone>")
    return parser.parse_args(argv)


if __name__ == "__main__":
    exit_now(main())
