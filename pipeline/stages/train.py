"""Retrain one strategy's best recipe with every seed, and open the test split to score it."""

from collections.abc import Sequence
from functools import partial

from pipeline import params as parameters
from pipeline.cli import Stopwatch, arguments, guarded, leave
from pipeline.recipe import Recipe
from pipeline.terminal import TrialProgress, one_thread_pool, quiet


@guarded
def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    parser = arguments(__doc__, dev="folder of train and valid", test="folder of test", tuned="the strategy's result "
                       "of tune", work="folder for features and units", out="folder for <strategy>.json and .csv",
                       model="folder for the best seed's model", timings="file for timings")  # fmt: skip
    parser.add_argument("strategy", help="a row of `strategies` in params.yaml")
    args = parser.parse_args(argv)
    params = parameters.load(args.params)
    seeds = params.train.seeds
    quiet()
    one_thread_pool(params.runtime.threads)
    from pipeline import jobs, models, outcomes, tracking
    from pipeline.executor import Executor, alone
    from pipeline.records import digest, read_json, write_csv, write_json
    from pipeline.workspace import unit_folder

    watch = Stopwatch()
    make_context = partial(jobs.open_context, args.dev, args.test, args.work, params.prepare.valid_fraction,
                           params.features, params.runtime)  # fmt: skip
    context = make_context()
    setting, images, test = context.setting, context.setting.dev, context.tested()
    tuned = read_json(args.tuned)
    recipe = Recipe(**tuned["recipe"])
    key = digest({"recipe": recipe, "seeds": seeds, "test": test.digest, **setting.identity()})
    dataset = tracking.Dataset(params.data.name, images.digest, str(args.dev))
    tags = {"stage": "train", "strategy": args.strategy}
    with alone(args.work / f"train-{args.strategy}.lock"):
        tracker = tracking.MlflowTracker(args.params.resolve().parent, params.tracking.experiment, dataset)
        with (
            tracker.stage(f"train-{args.strategy}-{key}", f"train {args.strategy}", tags) as parent,
            Executor(params.search.workers, make_context, jobs.run, context) as executor,
            TrialProgress(f"train {args.strategy}", len(seeds), len(seeds), "seed") as bar,
        ):
            bar.expect(dict.fromkeys(range(len(seeds)), recipe.epochs))
            planned = [jobs.Job((n,), (recipe,), seed, recipe.epochs) for n, seed in enumerate(seeds)]
            done = {seed: job[0] for seed, job in zip(seeds, executor.map(planned, bar.hear))}
            result = outcomes.summarise(done, images, test)
            tracker.children(parent, [jobs.retrained(o, recipe, seed, result["test"][seed], tags)
                                      for seed, o in done.items()])  # fmt: skip
            best = outcomes.best_seed(result)
            models.export_model(unit_folder(recipe, setting, best), args.model)
            write_csv(args.out / f"{args.strategy}.csv", outcomes.predictions(done, images, test))
            write_json(args.out / f"{args.strategy}.json", outcomes.document(result, done, tuned, best))
            tracker.finish(parent, outcomes.means(result), [])
    write_json(args.timings, watch.read())


if __name__ == "__main__":
    leave(main())
