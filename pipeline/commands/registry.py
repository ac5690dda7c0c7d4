"""`headstart registry`: which model is in service, since when and why; promote another, take it back, compare two."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands.options import PARAMS, ParamsFile
from pipeline.common.text_table import text_table

if TYPE_CHECKING:
    from pipeline.config.params import Params
    from pipeline.data.labelled_files import LabelledFiles
    from pipeline.statistics.noninferiority import PairedDifference
    from pipeline.tracking.promotion import Entry
    from pipeline.tracking.registry import Registry, Version

REFUSED, DISPLACED = 3, 4  # exit codes, beside 0 and 2
DEV, TEST = Path("data/prepared/dev"), Path("data/prepared/test")
COMPARED = ("metric", "first", "second", "difference", "interval")

app = typer.Typer(
    help="Show and change which model is in service.", no_args_is_help=True, rich_markup_mode=None
)  # fmt: skip

Named = Annotated[str, typer.Argument(metavar="VERSION", help="A number, or an alias.")]
DevFolder = Annotated[Path, typer.Option("--dev", metavar="FOLDER", help="The packed images of train and valid.")]
TestFolder = Annotated[Path, typer.Option("--test", metavar="FOLDER", help="The packed test images.")]


@app.command("status")
def status(params: ParamsFile = PARAMS) -> None:
    """Show who is champion, since when, and from which commit, data and report."""
    _, registry = _opened(params)
    from pipeline.tracking.promotion import Promotions

    promotions, champion = Promotions(registry), registry.champion()
    if champion is None:
        print(f"{registry.model} has no champion.")
    else:
        line = promotions.promoted(champion.version)
        print(f"models:/{registry.model}@champion is version {champion.version}.")
        print(text_table(_facts(champion, line)))
    by_version: dict[int, list[str]] = {}
    for alias, number in sorted(registry.aliases().items()):
        by_version.setdefault(number, []).append(alias)
    rows = [
        (str(v.version), v.strategy, ", ".join(by_version.get(v.version, ())) or "-", v.tags.get("gate", "-"))
        for v in registry.versions()
    ]
    print(f"\n{text_table([('version', 'strategy', 'aliases', 'gate'), *rows])}")


def _facts(champion: "Version", line: "Entry | None") -> list[tuple[str, str]]:
    """Return what is known of the champion, a row for each."""
    report = champion.tags.get("report")
    return [
        ("strategy", champion.strategy),
        ("since", f"{line.at} UTC, {line.action} by {line.by}" if line else "not known: not made champion from here"),
        ("because", line.said if line and line.said else "not known"),
        ("commit", champion.tags.get("commit") or "not known"),
        ("data", champion.data),
        ("report", f"report.html of MLflow's run {report}" if report else "not known"),
    ]


@app.command("history")
def history(params: ParamsFile = PARAMS) -> None:
    """Show every change of the champion, and what the gate refused, the oldest first."""
    _, registry = _opened(params)
    from pipeline.tracking.promotion import Promotions

    entries = Promotions(registry).history()
    if not entries:
        print(f"The history of {registry.model} is empty.")
        return
    rows = [
        (e.at, e.action, str(e.version), "-" if e.before is None else str(e.before), e.by, e.commit[:8] or "-", e.said)
        for e in entries
    ]
    print(text_table([("UTC", "what", "version", "champion before", "by", "commit", "why"), *rows]))


@app.command("promote")
def promote(
    version: Named = "challenger",
    force: Annotated[bool, typer.Option("--force", help="Ask no gate.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Ask the gate, but change no champion.")] = False,
    dev: DevFolder = DEV,
    test: TestFolder = TEST,
    params: ParamsFile = PARAMS,
) -> None:
    """Make a version champion, if it passes the gate.

    Ends with 0 where it is champion, with 3 where the gate refuses it, and with 4 where another process has changed
    the champion meanwhile.
    """
    settings, registry = _opened(params)
    from pipeline.tracking import by_hand
    from pipeline.tracking.promotion import DisplacedError

    root = params.resolve().parent
    gate = None if force or settings.register_.gate == "disabled" else lambda: _gate(settings, root, dev, test)
    try:
        found, action, judgement = by_hand.promote(registry, version, gate, dry_run)
    except DisplacedError as error:
        typer.echo(f"\nerror: {error}", err=True)
        raise typer.Exit(DISPLACED) from None
    if action == "refused":
        typer.echo(f"refused: {judgement.against}.", err=True)
        raise typer.Exit(REFUSED)
    why = f": {judgement.said}" if judgement.said else ""
    print({
        "unchanged": f"Version {found.version} is champion already.",
        "dry run": f"Version {found.version} may become champion{why}.",
        "promoted": f"Version {found.version} is champion{why}.",
    }[action])  # fmt: skip


def _gate(settings: "Params", root: Path, dev: Path, test: Path) -> tuple[Any, Any]:
    """Return the test images, and what params ask of a new champion."""
    from pipeline.config.metric_names import resolve_metric
    from pipeline.data.image_set import training_counts
    from pipeline.data.labelled_files import test_files
    from pipeline.tracking.register_arms import rules

    metric = resolve_metric(settings.compare.metric, training_counts(dev))
    return test_files(test, root / settings.data.path), rules(
        settings.register_, settings.runtime, metric, settings.compare.confidence
    )


@app.command("rollback")
def rollback(
    only_from: Annotated[
        int | None,
        typer.Option("--from", metavar="VERSION", show_default=False,
                     help="Only if this version is champion: a second call then does nothing."),
    ] = None,
    params: ParamsFile = PARAMS,
) -> None:  # fmt: skip
    """Put the version back into service that was champion before. No gate is asked."""
    _, registry = _opened(params)
    from pipeline.tracking import by_hand
    from pipeline.tracking.promotion import DisplacedError

    try:
        champion, changed = by_hand.roll_back(registry, only_from)
    except DisplacedError as error:
        typer.echo(f"\nerror: {error}", err=True)
        raise typer.Exit(DISPLACED) from None
    said = f"version {champion.version}" if champion else "no version"
    print(f"Rolled back: {said} is champion again." if changed else f"Nothing to do: {said} is champion.")


@app.command("compare")
def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A version: a number, or an alias.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="FOLDER", show_default="the test images", help="Labelled images, as you prepare them."),
    ] = None,
    test: TestFolder = TEST,
    params: ParamsFile = PARAMS,
) -> None:
    """Compare two versions on the same images, paired."""
    settings, registry = _opened(params)
    from pipeline.data.labelled_files import folder_files, test_files
    from pipeline.tracking import by_hand

    root = params.resolve().parent
    images = folder_files(folder, settings.data.label) if folder else test_files(test, root / settings.data.path)
    confidence = settings.compare.confidence
    versions, found = by_hand.compare(registry, (first, second), images, confidence, settings.runtime.threads)
    print(_comparison(versions, found, images, confidence))


def _comparison(
    versions: Sequence["Version"], found: Sequence["PairedDifference"], images: "LabelledFiles", confidence: float
) -> str:
    """Return the table of two versions compared, and what it rests on."""
    rows = [
        (d.metric.replace("_", " "), f"{d.a:.4f}", f"{d.b:.4f}", f"{d.difference:+.4f}",
         f"{d.ci[0]:+.4f} to {d.ci[1]:+.4f}")
        for d in found
    ]  # fmt: skip
    named = " and ".join(f"version {version.version} ({version.strategy})" for version in versions)
    return (
        f"{named}, on {len(images):,} images of {images.root}, paired:\n\n{text_table([COMPARED, *rows])}\n\n"
        f"The interval of the difference, first minus second, has a confidence of {100 * confidence:g} %; it speaks of "
        "other images, not of other trainings."
    )


def _opened(params: Path) -> tuple["Params", "Registry"]:
    """Return the settings, and the registry of the model that they name."""
    from pipeline.common.progress import quiet
    from pipeline.config import params as parameters

    settings = parameters.load(params)
    quiet()
    from pipeline.tracking.registry import existing

    return settings, existing(params.resolve().parent, settings.register_.model)
