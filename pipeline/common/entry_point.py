"""What the ways in have in common: the stages, which DVC runs, and the commands, which people type."""

import argparse
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import NoReturn, ParamSpec

from pipeline.common.errors import UserError

P = ParamSpec("P")


def stage_parser(description: str | None, **paths: str) -> argparse.ArgumentParser:
    """Return a parser for a stage: `--params`, and one required path option per keyword (name=help)."""
    parser = argparse.ArgumentParser(description=(description or "").strip().splitlines()[0])
    parser.add_argument(
        "--params", type=Path, default=Path("params.yaml"), help="the parameters (default: %(default)s)"
    )
    for name, text in paths.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, required=True, help=text)
    return parser


def handle_user_errors(main: Callable[P, None]) -> Callable[P, int]:
    """Make a main return 0, or say in a sentence what the user can fix and return 2 (130 after Ctrl-C)."""

    @wraps(main)
    def run(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            main(*args, **kwargs)
            return 0
        except UserError as error:
            print(f"\nerror: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("\nstopped; what is finished is kept. Run the same command again to continue.", file=sys.stderr)
            return 130

    return run


def exit_now(code: int) -> NoReturn:
    """End this process at once: tearing torch and mlflow down would take seconds, after Ctrl-C too."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
