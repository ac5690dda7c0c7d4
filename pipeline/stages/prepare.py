"""Pack labelled images into arrays, split them, and report on them."""

from collections.abc import Sequence

from pipeline.common.entry_point import exit_now, handle_user_errors, stage_parser
from pipeline.common.progress import one_thread_pool, quiet
from pipeline.common.timing import Stopwatch
from pipeline.config import params as parameters


@handle_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    parser = stage_parser(
        __doc__,
        dev="folder for train and valid",
        test="folder for test",
        report="folder for the data report",
        timings="file for timings",
    )
    args = parser.parse_args(argv)
    params = parameters.load(args.params)
    quiet()
    one_thread_pool(params.runtime.threads)
    from pipeline.common.files import write_json
    from pipeline.data.data_report import write_data_report
    from pipeline.data.image_set import load
    from pipeline.data.preparation import prepare
    from pipeline.data.summary import notes_on

    watch, root = Stopwatch(), args.params.resolve().parent / params.data.path
    prepared = prepare(root, params.data.label, params.prepare, args.dev, args.test)
    summary = write_data_report(prepared, load(args.dev), params.data.name, args.report)
    write_json(args.timings, watch.read())
    print("".join(f"{note}\n" for note in notes_on(summary)), end="")


if __name__ == "__main__":
    exit_now(main())
