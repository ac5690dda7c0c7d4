"""`headstart check`: what a folder of images holds, what is wrong with it, and the settings that use it."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.commands.needed_settings import as_yaml, needed_settings
from pipeline.commands.options import PARAMS, ImageFolder, ParamsFile
from pipeline.common.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.config.params import Params
    from pipeline.data.inspection import Inspection

CLASSES = 20  # that are listed


def check(folder: ImageFolder, params: ParamsFile = PARAMS) -> None:
    """Say what a folder of images holds and what is wrong with it.

    Every file is decoded in full; none is changed. The exit code is 0 where the
    images can be used, 2 where they cannot.
    """
    found, settings = look(folder, params)
    if found.problems:
        raise UserError(f"{folder}: cannot be used yet; fix the {counted(found)} above")
    changes = needed_settings(found, params, settings)
    if changes:
        print(f"\nTo use it, `uv run headstart init {folder}` sets in {params}:\n\n{as_yaml(changes)}", end="")
    else:
        print(f"\n{params} uses it already.")


def look(folder: Path, file: Path) -> tuple["Inspection", "Params"]:
    """Look at a folder with `file` as the parameters, and print what was found; return it, and the parameters.

    What cannot be used is listed in `.headstart/check/`, beside the parameters.
    """
    from pipeline.common.progress import Progress, one_thread_pool, quiet
    from pipeline.config import params as parameters

    settings = parameters.load(file)
    quiet()
    one_thread_pool(settings.runtime.threads)
    from pipeline.data.inspection import inspect

    wanted = settings.prepare
    with ExitStack() as stack:
        found = inspect(folder, wanted, settings.largest_image_size,
                        lambda count: stack.enter_context(Progress("checking", count, "image")).step)  # fmt: skip
    found.problems += _unmet(found, settings)
    listing = _write_listing(found, file.resolve().parent / ".headstart" / "check")
    print("\n".join(described(found, wanted.on_problem == "exclude", listing)))
    return found, settings


def _unmet(found: "Inspection", settings: "Params") -> Iterator[str]:
    """Yield what is wanted of classes that the images do not have."""
    from pipeline.verdict.limits import check_classes

    if found.used is not None:
        try:
            check_classes(settings.constraints, tuple(sorted(found.used.table["label"].unique())))
        except UserError as error:
            yield str(error)


def _write_listing(found: "Inspection", folder: Path) -> Path | None:
    """Write what cannot be used to a file named after the images; return it, or None where there is nothing."""
    from pipeline.common.files import write_csv

    file = folder / f"{found.root.resolve().stem}.csv"
    if found.left_out.empty:
        file.unlink(missing_ok=True)
        return None
    write_csv(file, found.left_out)
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file


def described(found: "Inspection", lenient: bool, listing: Path | None = None) -> list[str]:
    """Return what was found, in lines; `lenient` says that what cannot be used is left out by `prepare`."""
    lines = [f"{found.root}"]
    if found.kind:
        lines.append(f"kind: {found.kind}")
    if found.candidates:
        lines.append(f"label: there is no column label; {found.label} is taken, of {', '.join(found.candidates)}")
    if found.images:
        lines += _counted(found, lenient, listing)
    if found.used is not None:
        lines += _contents(found.used.table, found.label)
    lines += found.notes
    if found.unused:
        lines.append(f"not used: {len(found.unused):,} image file(s) that are no part of it, such as {found.unused[0]}")
    return [*lines, "", counted(found), *(f"- {each}" for each in found.problems)]


def counted(found: "Inspection") -> str:
    """Return how many problems there are: no problems, 1 problem, 2 problems."""
    count = len(found.problems)
    return f"{count or 'no'} problem{'s' if count != 1 else ''}"


def _counted(found: "Inspection", lenient: bool, listing: Path | None) -> Iterator[str]:
    """Yield how many images there are, how many can be used, and where the others are listed."""
    from pipeline.data.manifest import SHOWN, printed
    from pipeline.data.summary import handled, left_out

    used = 0 if found.used is None else len(found.used.table)
    if used == found.images:
        yield f"images: {found.images:,}, all decoded in full"
    else:
        yield f"images: {found.images:,}, of which {used:,} can be used and {found.images - used:,} cannot"
    if listing is not None:
        how = "left out" if lenient else "prepare.on_problem: exclude would leave out"
        yield f"{how}: {left_out(found.kinds)}, listed in {listing}"
        if lenient:
            yield from (f"  {printed(path)}: {why}" for path, why in found.left_out[:SHOWN].itertuples(index=False))
    if found.used is not None and found.used.marks:
        yield f"not taken as they are: {handled(found.used.marks)}"


def _contents(table: "pd.DataFrame", label: str) -> Iterator[str]:
    """Yield classes, sizes, colour, copies, groups, weights, the split and the metric of what can be used."""
    from pipeline.config.metric_names import resolve_metric
    from pipeline.verdict.formatting import called
    from pipeline.verdict.sentences.metric import metric_sentence

    counts = table["label"].value_counts(sort=False).sort_index()
    listed = ", ".join(f"{name} {count:,}" for name, count in counts[:CLASSES].items())
    more = f" and {len(counts) - CLASSES} more" if len(counts) > CLASSES else ""
    order = (table["width"] * table["height"]).sort_values().index[[0, -1]]
    ends = [f"{table['width'][row]}x{table['height'][row]}" for row in order]
    yield f"classes: {len(counts)}: {listed}{more}"
    yield f"sizes: {' to '.join(dict.fromkeys(ends))} pixels, {'grey' if table['grey'].all() else 'colour'}"
    yield f"exact copies: {table['id'].duplicated().sum():,}"
    if "group" in table:
        sizes = table["group"].value_counts()
        yield f"groups: {len(sizes):,}, of {sizes.min():,} to {sizes.max():,} images; none is parted"
    if "weight" in table and label != "weight":
        yield "weight: what each image counts in training; scores count all alike"
    sides: dict[Any, int] = dict(table["split"].value_counts()) if "split" in table else {}
    named = ", ".join(f"{name} {sides.get(name, 0):,}" for name in ("train", "valid", "test"))
    yield f"split: yours: {named}" if sides else "split: drawn by prepare"
    trained = table[table["split"] != "test"] if sides else table
    trained_on: dict[str, int] = dict(trained["label"].value_counts())
    metric = resolve_metric("auto", trained_on)
    if metric != "accuracy":
        yield f"compare.metric: auto is {called(metric)}: {metric_sentence(metric, trained_on)}"
