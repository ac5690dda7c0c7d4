"""`headstart init`: params.yaml, so that it uses a folder of images."""

import io
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands.needed_settings import Settings, as_yaml, needed_settings, path_from
from pipeline.commands.options import PARAMS, ImageFolder, ParamsFile
from pipeline.common.errors import UserError

if TYPE_CHECKING:
    from pipeline.config.params import Params
    from pipeline.data.inspection import Inspection


def init(
    folder: ImageFolder,
    params: ParamsFile = PARAMS,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be written, and write nothing.")] = False,
) -> None:
    """Check a folder of images and set params.yaml to use it.

    Comments and the order of params.yaml stay; where the images cannot be used, it is left as it is.
    """
    from pipeline.commands.check import counted, look
    from pipeline.common.files import write_text

    found, settings = look(folder, params)
    if found.problems:
        raise UserError(f"{params}: left as it is; fix the {counted(found)} above, then run this again")
    wanted = needed_settings(found, params, settings)
    if not wanted:
        print(f"\n{params} uses it already; nothing was written.")
    else:
        text = edited(params, wanted)
        if not dry_run:
            write_text(params, text)
        print(f"\n{'Would be written' if dry_run else 'Written'} to {params}:\n\n{as_yaml(wanted)}", end="")
    print(f"\n{_next(found, params, settings)}")


def edited(file: Path, wanted: Settings) -> str:
    """Return the text of `file` with other settings, its comments and order kept; raise UserError if it were wrong."""
    from ruamel.yaml import YAML

    from pipeline.config.params import parse

    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 1_000_000
    yaml.representer.add_representer(
        type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    document = yaml.load(file.read_text(encoding="utf-8"))
    for key, value in wanted.items():
        if isinstance(value, dict):
            for inner, setting in value.items():
                _set(document[key], inner, setting)
        else:
            _set(document, key, value)
    stream = io.StringIO()
    yaml.dump(document, stream)
    parse(stream.getvalue(), file)
    return stream.getvalue()


def _set(section: Any, key: str, value: Any) -> None:
    section[key] = value
    comment = section.ca.items.get(key, [None] * 3)[2]
    if comment is not None:
        comment.start_mark.column = 0  # or it would stay where the end of the old value had put it


def _next(found: "Inspection", file: Path, settings: "Params") -> str:
    """Return what is left to do."""
    from pipeline.config.features import AUTO

    views, path = settings.features.views, Path(path_from(file, found.root))
    lines = ["Next:"]
    if views != AUTO and len(views) > 1 and settings.data.path == str(path):
        lines.append(
            f"- look at features.views in {file}: keep {', '.join(views[1:])} only where such a flip or turn leaves "
            "your labels true (a 6 turned upside down is a 9), or set it to auto"
        )
    if not path.is_absolute() and path.parts[0] != "data":
        lines.append(f"- to keep a version of the images, if you like: uv run dvc add {shlex.quote(path.as_posix())}")
    return "\n".join([*lines, "- to run the comparison: uv run dvc repro"])
