"""`headstart report`: the report of the last run, in the browser."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.common.errors import UserError


def report(
    page: Annotated[Path, typer.Argument(metavar="PAGE", help="The report.")] = Path("results/report.html"),
    only_print: Annotated[bool, typer.Option("--print", help="Print where it is, and open nothing.")] = False,
) -> None:
    """Open the report of the last run in the browser."""
    import webbrowser

    if not page.is_file():
        raise UserError(
            f"{page}: there is no report yet; `uv run dvc repro` makes it, and `uv run headstart status` tells what "
            "that takes"
        )
    place = page.resolve()
    print(place)
    if not only_print and not webbrowser.open(place.as_uri()):
        print("No browser was found here; open this file in one. It needs no network.")
