"""Search one strategy's space on train and valid, and export the best recipe and all trials."""

import sys
from collections.abc import Sequence

from pipeline import params as parameters
from pipeline.cli import Stopwatch, arguments, guarded
from pipeline.recipe import Recipe
from pipeline.terminal import TrialProgress, one_thread_pool, quiet


@guarded
def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    parser = arguments(__doc__, dev="folder of train and valid", work="folder for features, units and studies",
                       out="folder for <strategy>.json and .csv", timings="file for timings")  # fmt: skip
    parser.add_argument("strategy", help="a row of `strategies` in params.yaml")
    args = parser.parse_args(argv)
    params = parameters.load(args.params)
    row = params.strategy(args.strategy)
    quiet()
    one_thread_pool(params.runtime.threads)
    from pipeline import data, experiment, search, tracking
    from pipeline.records import Outcome, digest, write_csv, write_json

    watch = Stopwatch()
    images = data.load(args.dev)
    setting = experiment.settle(
        images, params.prepare.valid_fraction, params.features, args.work, params.runtime, row.cuts()
    )
    key = digest({"row": row, "search": params.search, **setting.identity()})
    dataset = tracking.Dataset(params.data.name, images.digest, str(args.dev))
    tracker = tracking.MlflowTracker(args.params.resolve().parent, params.tracking.experiment, dataset)
    tags = {"stage": "tune", "strategy": args.strategy, "seed": str(params.search.seed)}
    parent = tracker.parent(f"tune-{args.strategy}-{key}", f"tune {args.strategy}", tags)
    study = search.open_study(args.work / "optuna.db", f"{args.strategy}-{key}")

    with TrialProgress(f"tune {args.strategy}", row.trials, search.planned(row, params.search)) as bar:

        def evaluate(number: int, recipe: Recipe, until: int) -> Outcome:
            bar.begin(number, recipe.epochs, until)
            outcome = experiment.unit(recipe, setting, params.search.seed, until, None, bar.epoch, bar.images)
            bar.end(search.value_of(outcome))
            return outcome

        def log(t: search.Tried) -> None:
            experiment.drop_state(t.recipe, setting, params.search.seed)
            recipe = t.recipe.model_dump() | {"strategy": args.strategy}
            tracker.child(parent, f"trial-{t.number}", f"{args.strategy} trial {t.number}", recipe, t.outcome.epochs,
                          t.outcome.cost.measures(), {**tags, "state": t.state, "failed": t.outcome.failed},
                          )  # fmt: skip

        tried = search.tune(row, params.search, study, evaluate, log)
    best = search.best(tried)
    table = search.table(tried)
    csv = args.out / f"{args.strategy}.csv"
    write_csv(csv, table)
    result = {
        "strategy": args.strategy,
        "recipe": best.recipe,
        "best_trial": best.number,
        "objective": search.OBJECTIVE,
        "value": best.value,
        "trials": table["state"].value_counts().to_dict(),
        "search_flops": search.total_flops(tried),
    }
    write_json(args.out / f"{args.strategy}.json", result)
    tracker.finish(parent, {"best_valid_log_loss": best.value}, [csv])
    write_json(args.timings, watch.read())


if __name__ == "__main__":
    sys.exit(main())
