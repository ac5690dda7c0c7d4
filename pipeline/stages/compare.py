"""Compare the strategies: intervals, pairs, learning curves, verdict under constraints; report and summary."""

from argparse import Namespace
from collections.abc import Sequence

from pipeline.common.entry_point import exit_now, handle_user_errors, stage_parser
from pipeline.common.progress import one_thread_pool, quiet
from pipeline.common.timing import Stopwatch
from pipeline.config import params as parameters


@handle_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    args = _arguments(argv)
    params = parameters.load(args.params)
    quiet()
    one_thread_pool(params.runtime.threads)
    from pipeline.common import provenance
    from pipeline.common.files import write_json
    from pipeline.common.hashes import digest
    from pipeline.data import image_set
    from pipeline.data.summary import EXCLUDED, DatasetSummary
    from pipeline.report import markdown
    from pipeline.report.arms import CardMaterial, scored_arms, write_cards
    from pipeline.report.experiment_note import RunIds, experiment_note, in_table
    from pipeline.report.plots import metrics
    from pipeline.report.publish import Places, publish
    from pipeline.statistics import stored_results
    from pipeline.statistics.build_comparison import build_comparison
    from pipeline.tracking.arm_runs import ArmTracker
    from pipeline.tracking.experiments import STAGES, Dataset, held_out
    from pipeline.verdict.advice import advise

    watch, root = Stopwatch(), args.params.resolve().parent
    measured = stored_results.measured(list(params.arms), args.trained, args.tuned, args.times)
    compared = build_comparison(measured, DatasetSummary.load(args.data), params.compare)
    verdict = advise(compared, params.constraints, measured.timings)
    compared.save(args.out)
    verdict.save(args.verdict)
    about = provenance.about(root, args.test / image_set.MANIFEST)
    places, test = Places(args.page, args.report, args.figures, args.metrics, args.plots), image_set.load(args.test)
    files = publish(compared, verdict, measured, test, about, places)
    made_of = CardMaterial(params.register_.model, params.own, about, args.models)
    cards = write_cards(compared, verdict, measured, made_of, args.cards)

    dataset = Dataset(compared.dataset.name, compared.dataset.digest, params.data.path)
    tracker = ArmTracker(root, params.tracking.experiment, dataset, held_out(params.data.name, args.test, test))
    scores = {f"{name}.{key}": value for name, row in metrics(compared).items() for key, value in row.items()}
    tags = {"stage": "compare", "winner": compared.winner, "recommended": verdict.recommended or "none",
            "excluded": str(sum(compared.dataset.excluded.kinds.values()))}  # fmt: skip
    with tracker.stage(f"compare-{digest([compared, verdict])}", "compare", tags) as run:
        tracker.finish(run, scores, [args.out, args.verdict, args.data.with_name(EXCLUDED), *files])
    arms = [tracker.score(arm) for arm in scored_arms(compared, verdict, args.trained, cards)]
    note = RunIds(*tracker.experiments, arms, run, STAGES.format(params.tracking.experiment))
    about_runs = experiment_note(compared, verdict, params.register_.model, note, args.page.name)
    tracker.describe(about_runs, in_table(compared.metric))
    write_json(args.timings, watch.read())
    print(f"\n{markdown.summary(compared, verdict)}")


def _arguments(argv: Sequence[str] | None) -> Namespace:
    parser = stage_parser(
        __doc__,
        tuned="folder of tune's results",
        trained="folder of train's results",
        times="folder of tune's and train's timings",
        data="the data report's summary.json",
        test="folder of test, for pictures",
        models="folder with a folder per strategy",
        out="file for the comparison",
        verdict="file for the verdict under constraints",
        page="file for the report (HTML)",
        report="file for the report in short (Markdown)",
        cards="folder for the model cards",
        figures="folder for figures",
        metrics="file for DVC's metrics",
        plots="folder for DVC's plots",
        timings="file for timings",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    exit_now(main())
