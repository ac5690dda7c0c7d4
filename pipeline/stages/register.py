"""Register the best model of each strategy; the recommended one challenges the champion, behind a gate."""

from collections.abc import Sequence

from pipeline.common.entry_point import exit_now, handle_user_errors, stage_parser
from pipeline.common.progress import quiet
from pipeline.config import params as parameters


@handle_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    parser = stage_parser(
        __doc__,
        comparison="the comparison",
        verdict="the verdict under constraints",
        trained="folder of the results of all trainings",
        test="folder of test",
        models="folder with a folder per strategy",
        out="file for what was registered",
    )
    args = parser.parse_args(argv)
    params = parameters.load(args.params)
    quiet()
    from pipeline.common.files import write_json
    from pipeline.registration.register_arms import Registration
    from pipeline.statistics.recommendation import Recommendation
    from pipeline.statistics.schema import Comparison

    compared, verdict = Comparison.load(args.comparison), Recommendation.load(args.verdict)
    registration = Registration(params, args.params.resolve().parent, compared, verdict)
    with registration.run(args.models) as run:
        document, said = registration.register(args.trained, args.test)
        write_json(args.out, document)
        registration.finish(run, args.out)
    print(said)


if __name__ == "__main__":
    exit_now(main())
