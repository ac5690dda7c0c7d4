"""Compare the strategies: intervals, pairs, winner, verdict; report and figures."""

from collections.abc import Sequence
from pathlib import Path

from pipeline import params as parameters
from pipeline.cli import arguments, guarded, leave
from pipeline.meters import Stopwatch
from pipeline.terminal import one_thread_pool, quiet


@guarded
def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    parser = arguments(__doc__, tuned="folder of tune's results", trained="folder of train's results",
                       data="the data report's summary.json", out="file for the comparison", report="file for the "
                       "report (Markdown)", figures="folder for figures", timings="file for timings")  # fmt: skip
    args = parser.parse_args(argv)
    params = parameters.load(args.params)
    quiet()
    one_thread_pool(params.runtime.threads)
    import pandas as pd

    from pipeline import comparison, outcomes, report, tracking
    from pipeline.records import digest, read_json, write_json, write_text

    watch = Stopwatch()
    dataset = read_json(args.data)
    results = {name: read_json(args.trained / f"{name}.json") for name in params.enabled}
    entries = {name: outcomes.entry(r, pd.read_csv(args.trained / f"{name}.csv")) for name, r in results.items()}
    wanted = params.compare
    compared = comparison.compare(entries, wanted.metric, wanted.resamples, wanted.confidence, wanted.seed)
    for name, strategy in compared["strategies"].items():
        tuned = read_json(args.tuned / f"{name}.json")
        strategy["search"] = {key: tuned[key] for key in ("trials", "search_flops", "budget_flops", "ended_by")}
    compared |= {"dataset": dataset, "seeds": len(params.train.seeds)}
    write_json(args.out, compared)
    trials = {name: pd.read_csv(args.tuned / f"{name}.csv") for name in params.enabled}
    figures = report.draw(compared, trials, args.figures)
    write_text(args.report, report.markdown(compared, [str(_beside(f, args.report)) for f in figures]))

    named = tracking.Dataset(dataset["name"], dataset["digest"], params.data.path)
    tracker = tracking.MlflowTracker(args.params.resolve().parent, params.tracking.experiment, named)
    scores = {
        f"{name}.test_{metric}": value["mean"]
        for name, s in compared["strategies"].items()
        for metric, value in s["test"].items()
    }
    tags = {"stage": "compare", "winner": compared["winner"]}
    with tracker.stage(f"compare-{digest(compared)}", "compare", tags) as run:
        tracker.finish(run, scores, [args.out, args.report, *figures])
    write_json(args.timings, watch.read())


def _beside(file: Path, report: Path) -> Path:
    return file.resolve().relative_to(report.resolve().parent)


if __name__ == "__main__":
    leave(main())
