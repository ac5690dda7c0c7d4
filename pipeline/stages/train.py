"""Retrain one strategy's best recipe with every seed, and open the test split to score it."""

import sys
from collections.abc import Sequence

from pipeline import params as parameters
from pipeline.cli import Stopwatch, arguments, guarded
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
    from pipeline import data, experiment, models, outcomes, tracking
    from pipeline.records import Outcome, digest, read_json, write_csv, write_json

    watch = Stopwatch()
    images, test = data.load(args.dev), data.load(args.test)
    setting = experiment.settle(images, params.prepare.valid_fraction, params.features, args.work, params.runtime)
    tuned = read_json(args.tuned)
    recipe = Recipe(**tuned["recipe"])
    key = digest({"recipe": recipe, "seeds": seeds, "test": test.digest, **setting.identity()})
    dataset = tracking.Dataset(params.data.name, images.digest, str(args.dev))
    tracker = tracking.MlflowTracker(args.params.resolve().parent, params.tracking.experiment, dataset)
    tags = {"stage": "train", "strategy": args.strategy}
    parent = tracker.parent(f"train-{args.strategy}-{key}", f"train {args.strategy}", tags)

    done: dict[int, Outcome] = {}
    with TrialProgress(f"train {args.strategy}", len(seeds), len(seeds), "seed") as bar:
        for position, seed in enumerate(seeds):
            bar.begin(position, recipe.epochs, recipe.epochs)
            done[seed] = experiment.unit(recipe, setting, seed, test=test, on_epoch=bar.epoch, on_images=bar.images)
            result = outcomes.summarise(done, images, test)
            bar.end(result["valid"][seed]["log_loss"])
            scores = {f"test_{name}": value for name, value in result["test"][seed].items()}
            shown = recipe.model_dump() | {"strategy": args.strategy}
            tracker.child(parent, f"seed-{seed}", f"{args.strategy} seed {seed}", shown, done[seed].epochs,
                          scores | done[seed].cost.measures(), tags | {"seed": str(seed)})  # fmt: skip
    best = outcomes.best_seed(result)
    models.export_model(experiment.unit_folder(recipe, setting, best), args.model)
    write_csv(args.out / f"{args.strategy}.csv", outcomes.predictions(done, images, test))
    summary = outcomes.document(result, done, tuned, best)
    write_json(args.out / f"{args.strategy}.json", summary)
    tracker.finish(parent, outcomes.means(result), [])
    write_json(args.timings, watch.read())


if __name__ == "__main__":
    sys.exit(main())
