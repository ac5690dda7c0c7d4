"""Show the prepared data set: classes and their counts, sizes, and some images of train and valid."""

from collections.abc import Sequence

from pipeline.common.entry_point import exit_now, handle_user_errors, stage_parser
from pipeline.common.progress import quiet


@handle_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    parser = stage_parser(
        __doc__,
        dev="folder of train and valid",
        data="the data set's summary.json",
        out="folder for report.md and pictures",
    )
    args = parser.parse_args(argv)
    quiet()
    from pipeline.data.summary import DatasetSummary
    from pipeline.report.data_report import write_data_report

    write_data_report(DatasetSummary.load(args.data), args.dev, args.out)


if __name__ == "__main__":
    exit_now(main())
