"""Lay a data set out, by its name, as a user would bring it: images with labels, under data/raw."""

from collections.abc import Sequence
from contextlib import ExitStack

from pipeline.common.entry_point import exit_now, handle_user_errors, stage_parser
from pipeline.common.progress import Progress, quiet


@handle_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    parser = stage_parser(
        __doc__,
        out="the folder to make",
        downloads="folder that keeps what is fetched, and to which a file is brought that only you can fetch",
    )
    parser.add_argument("name", help="elpv, or a data set of torchvision, such as CIFAR10")
    args = parser.parse_args(argv)
    quiet()

    from pipeline.data.datasets import by_name

    with ExitStack() as bars:
        count = by_name.lay_out(
            args.name,
            args.out,
            args.downloads,
            lambda count: bars.enter_context(Progress("laying out", count, "image")).step,
        )
    print(f"{args.name}: {count:,} images in {args.out}")


if __name__ == "__main__":
    exit_now(main())
