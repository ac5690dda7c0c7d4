"""`headstart quick`: a first answer in minutes, by the code of the whole run, on validation images."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.options import PARAMS, WORK, ParamsFile, WorkFolder
from pipeline.common.errors import UserError

if TYPE_CHECKING:
    from pipeline.config.params import Params

RESULTS = Path("results") / "quick"

Folder = Annotated[Path | None, typer.Argument(metavar="[FOLDER]", help="A folder of images; default: data.path.")]


def quick(folder: Folder = None, params: ParamsFile = PARAMS, work: WorkFolder = WORK) -> None:
    """Give a first answer in minutes, on validation images.

    Each strategy gets its default recipe, small and short, and the test split
    stays unopened. A whole run takes over the features, and those trainings
    that it would do itself.
    """
    from pipeline.commands.first_answer import Places, answer
    from pipeline.common.lock import one_process
    from pipeline.common.progress import one_thread_pool, quiet
    from pipeline.common.timing import Stopwatch
    from pipeline.config import params as parameters

    watch, settings = Stopwatch(), parameters.load(params)
    quiet()
    one_thread_pool(settings.runtime.threads)
    with one_process(work / "quick.lock"):
        root = params.resolve().parent
        own = folder is None or folder.resolve() == (root / settings.data.path).resolve()
        if own:
            _repro(root, "prepare")
            place, summary = root / "data" / "prepared", root / "results" / "data"
        else:
            assert folder is not None
            settings, place = _prepared(folder, params, work)
            summary = place
        go_on = "" if own else f"uv run headstart init {shlex.quote(str(folder))} && "
        places = Places(place / "dev", summary, _weights(settings, root), work, root / RESULTS)
        commands = [
            f"uv run headstart quick{'' if own else ' ' + shlex.quote(str(folder))}",
            f"{go_on}uv run dvc repro",
        ]
        print(f"\n{answer(settings, root, places, commands, watch)}")


def _repro(root: Path, stage: str) -> None:
    """Have DVC do a stage, with all that it needs, as a whole run would."""
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run([sys.executable, "-m", "dvc", "repro", "-q", stage], cwd=root, check=False,
                          env={**os.environ, "PATH": beside})  # fmt: skip
    if done.returncode:
        raise UserError(f"stage {stage} did not end well; see above, or run: uv run dvc repro {stage}")


def _weights(settings: "Params", root: Path) -> Path | None:
    """Have weights brought that no package holds; return their folder, or None where none are needed."""
    from pipeline.config.backbone_table import BACKBONES

    if all(name in BACKBONES for row in settings.arms.values() for name in row.values("backbone")):
        return None
    _repro(root, "weights")
    return root / "data" / "weights"


def _prepared(folder: Path, params: Path, work: Path) -> tuple["Params", Path]:
    """Prepare a folder that params.yaml does not name; return settings as `init` would write them, and where it is."""
    import shutil

    from pipeline.commands.check import counted, look
    from pipeline.commands.init import edited
    from pipeline.commands.needed_settings import needed_settings
    from pipeline.common.files import write_csv, write_json
    from pipeline.common.hashes import digest
    from pipeline.config.params import parse
    from pipeline.data.preparation import prepare
    from pipeline.data.summary import EXCLUDED, SUMMARY

    found, settings = look(folder, params)
    if found.problems:
        raise UserError(f"{folder}: cannot be used yet; fix the {counted(found)} above")
    settings = parse(edited(params, needed_settings(found, params, settings)), params)
    place = work / "quick" / f"{settings.data.name}-{digest(str(folder.resolve()))[:8]}"
    shutil.rmtree(place, ignore_errors=True)
    root, size = params.resolve().parent / settings.data.path, settings.largest_image_size
    prepared = prepare(root, settings.data.label, settings.prepare, size, place / "dev", place / "test")
    write_json(place / SUMMARY, prepared.summary(settings.data.name))
    write_csv(place / EXCLUDED, prepared.cleaned.listing())
    return settings, place
