"""Templates of this room, filled in."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def template_environment(escaped: bool = False) -> Environment:
    """Return what fills templates in; a name that is missing is an error. HTML is escaped if asked for."""
    return Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), undefined=StrictUndefined,
                       trim_blocks=True, lstrip_blocks=True, autoescape=escaped)  # fmt: skip
