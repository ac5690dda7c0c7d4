"""Compare the strategies: intervals, pairs, learning curves, verdict under constraints; report and figures."""

from collections.abc import Sequence

from pipeline import params as parameters
from pipeline.cli import arguments, guarded, leave
from pipeline.meters import Stopwatch
from pipeline.terminal import one_thread_pool, quiet


@guarded
def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    parser = arguments(__doc__, tuned="folder of tune's results", trained="folder of train's results",
                       times="folder of tune's and train's timings", data="the data report's summary.json",
                       test="folder of test, for pictures", out="file for the comparison", verdict="file for the "
                       "verdict under constraints", page="file for the report (HTML)", report="file for the report in "
                       "short (Markdown)", figures="folder for figures", metrics="file for DVC's metrics",
                       plots="folder for DVC's plots", timings="file for timings")  # fmt: skip
    args = parser.parse_args(argv)
    params = parameters.load(args.params)
    quiet()
    one_thread_pool(params.runtime.threads)
    import pandas as pd

    from pipeline import data, outcomes, provenance, tracking
    from pipeline.evidence.gather import gather
    from pipeline.records import digest, read_json, write_csv, write_json, write_text
    from pipeline.report import drawing, markdown, page, plots
    from pipeline.verdict import claims
    from pipeline.verdict.advice import advise

    watch, names, root = Stopwatch(), params.enabled, args.params.resolve().parent
    dataset = read_json(args.data)
    trained, tuned = ({n: read_json(folder / f"{n}.json") for n in names} for folder in (args.trained, args.tuned))
    predictions = {name: pd.read_csv(args.trained / f"{name}.csv", dtype={"id": str}) for name in names}
    trials = {name: pd.read_csv(args.tuned / f"{name}.csv") for name in names}
    entries = {name: outcomes.entry(trained[name], predictions[name]) for name in names}
    compared = gather(entries, trained, tuned, dataset, params.compare)
    write_json(args.out, compared)
    tuning, training = ({n: read_json(args.times / stage / f"{n}.json") for n in names} for stage in ("tune", "train"))
    timings = {name: {**training[name], "tune": tuning[name]} for name in names}
    advice = advise(compared, params.constraints, timings) | {"claims": claims.claims(compared)}
    write_json(args.verdict, advice)
    write_json(args.metrics, plots.metrics(compared))
    for name, table in plots.tables(compared, trials).items():
        write_csv(args.plots / f"{name}.csv", table)
    pictures = page.pictures(compared, trials)
    chosen = [pictures[n] for n in ("accuracy_cost", "learning_curves", "pairs", "search") if n in pictures]
    figures = drawing.draw(chosen, args.figures)
    beside = {str(file.resolve().relative_to(args.report.resolve().parent)): words for file, words in figures.items()}
    write_text(args.report, markdown.markdown(compared, advice, beside, args.page.name))
    whole = {name: table[table["fraction"] == 1] for name, table in predictions.items()}
    about = provenance.about(root, args.test / data.MANIFEST)
    write_text(args.page, page.render(compared, advice, timings, trials, whole, data.load(args.test), about))

    named = tracking.Dataset(dataset["name"], dataset["digest"], params.data.path)
    tracker = tracking.MlflowTracker(root, params.tracking.experiment, named)
    scores = {f"{name}.{key}": value for name, row in plots.metrics(compared).items() for key, value in row.items()}
    tags = {"stage": "compare", "winner": compared["winner"], "recommended": advice["recommended"] or "none"}
    with tracker.stage(f"compare-{digest([compared, advice])}", "compare", tags) as run:
        tracker.finish(run, scores, [args.out, args.verdict, args.page, args.report, *figures])
    write_json(args.timings, watch.read())


if __name__ == "__main__":
    leave(main())
