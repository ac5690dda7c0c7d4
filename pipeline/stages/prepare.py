"""Pack labelled images into arrays, split them, and sum up what was packed and what left out."""

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
        summary="folder for summary.json and excluded.csv",
        timings="file for timings",
    )
    args = parser.parse_args(argv)
    params = parameters.load(args.params)
    quiet()
    one_thread_pool(params.runtime.threads)
    from pipeline.common.files import write_csv, write_json
    from pipeline.data.preparation import licence_of, prepare
    from pipeline.data.summary import EXCLUDED, SUMMARY, notes_on

    watch, root = Stopwatch(), args.params.resolve().parent / params.data.path
    prepared = prepare(root, params.data.label, params.prepare, params.largest_image_size, args.dev, args.test)
    summary = prepared.summary(params.data.name, licence_of(root))
    write_json(args.summary / SUMMARY, summary)
    write_csv(args.summary / EXCLUDED, prepared.cleaned.listing())
    write_json(args.timings, watch.read())
    print("".join(f"{note}\n" for note in notes_on(summary)), end="")


if __name__ == "__main__":
    exit_now(main())
