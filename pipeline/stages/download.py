"""Lay a demo data set out as a folder of images with labels.csv, as a user would bring it."""

from collections.abc import Sequence

from pipeline.cli import arguments, guarded, leave
from pipeline.errors import UserError


@guarded
def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    parser = arguments(__doc__, out="the folder to make")
    parser.add_argument("name", help="a demo data set, such as elpv")
    args = parser.parse_args(argv)

    from pipeline.sources import DEMOS

    if args.name not in DEMOS:
        raise UserError(f"demo: there is no demo data set {args.name!r}; there are {', '.join(DEMOS)}")
    DEMOS[args.name](args.out)


if __name__ == "__main__":
    leave(main())
