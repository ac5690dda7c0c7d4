"""The command `headstart`: its commands, and how it ends."""

from collections.abc import Sequence

import typer

from pipeline.commands import cache, check, export, init, plan, predict, quick, rank, registry, report, status
from pipeline.common.entry_point import exit_now, handle_user_errors

INTERRUPTED = 130

app = typer.Typer(
    name="headstart",
    help="From scratch, frozen backbone, or fine-tune? Measured on your own images. `uv run dvc repro` runs it all.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(check.check)
app.command()(init.init)
app.command()(quick.quick)
app.command()(plan.plan)
app.command()(status.status)
app.command()(report.report)
app.command()(rank.rank)
app.command()(predict.predict)
app.command()(export.export)
app.add_typer(registry.app, name="registry")
app.add_typer(cache.app, name="cache")


@handle_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Run a command; raise SystemExit for help, and for words that make no command."""
    try:
        app(args=argv, prog_name="headstart")
    except SystemExit as end:
        if end.code == INTERRUPTED:
            raise KeyboardInterrupt from None
        if end.code:
            raise


def run() -> None:
    """Run a command and end the process with its exit code: 0, 2 for what the user can fix, 130 after Ctrl-C."""
    exit_now(main())
