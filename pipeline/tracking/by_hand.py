"""What people ask of the registry: promote a version, take it back, compare two."""

from collections.abc import Callable

from pipeline.common.errors import UserError
from pipeline.data.labelled_files import LabelledFiles
from pipeline.statistics.noninferiority import PairedDifference
from pipeline.tracking.gate import Challenger, Judgement, Rules, compared, judge, on_images
from pipeline.tracking.promotion import Entry, Promotions
from pipeline.tracking.register_arms import ADMISSIBLE, GAIN, TOLERANCE
from pipeline.tracking.registry import CHAMPION, Registry, Version
from pipeline.tracking.served_scores import kept

Gate = Callable[[], tuple[LabelledFiles, Rules]]  # what the gate needs, looked up only if it is asked


def promote(registry: Registry, name: str, gate: Gate | None, dry_run: bool = False) -> tuple[Version, str, Judgement]:
    """Make a version, by number or alias, champion if the gate lets it pass; without a gate it always does.

    Return the version, `unchanged` or the action of the history's line, and what the gate found. Raise UserError where
    there is no such version, and DisplacedError where another process was quicker.
    """
    promotions = Promotions(registry)
    promotions.finish()
    version, champion = registry.version(name), registry.champion()
    if champion and champion.version == version.version:
        return version, "unchanged", Judgement("", "", None)
    if gate is None:
        judgement = Judgement("", "promoted by hand, without the gate", None)
    else:
        images, rules = gate()
        judgement = judge(registry, _challenger(registry, version, images), champion, images, rules)
        registry.tag(version, judgement.tags())
    entry = judgement.entry(version, champion, dry_run)
    promotions.record(entry)
    return version, entry.action, judgement


def _challenger(registry: Registry, version: Version, images: LabelledFiles) -> Challenger:
    gain, admissible, tolerance = (version.tags.get(tag) for tag in (GAIN, ADMISSIBLE, TOLERANCE))
    return Challenger(
        version,
        gain=float(gain) if gain else None,
        admissible=admissible == "true" if admissible else None,
        tolerance=float(tolerance or 0),
        evaluated=kept(registry, version, images.digest),
    )


def roll_back(registry: Registry, only_from: int | None) -> tuple[Version | None, bool]:
    """Put the version back into service that was champion before; return the champion, and whether it changed.

    Where `only_from` is given and is not champion, nothing is done: so a rerun does no harm. Raise UserError where
    there was no other champion.
    """
    promotions = Promotions(registry)
    finished = promotions.finish()
    champion = registry.champion()
    if finished and finished.action == "rolled back":  # by a process that was killed: this is its rerun
        return champion, True
    if only_from is not None and (champion is None or champion.version != only_from):
        return champion, False
    before = promotions.previous()
    if before is None or champion is None:
        raise UserError(
            f"{registry.model} had no champion before; `uv run headstart registry history` shows what there was. To "
            f"take the model out of service, delete its alias {CHAMPION} in MLflow"
        )
    back = registry.version(str(before))
    promotions.record(Entry("rolled back", back.version, champion.version, "rolled back by hand"))
    return back, True


def compare(
    registry: Registry, names: tuple[str, str], images: LabelledFiles, confidence: float, threads: int
) -> tuple[list[Version], list[PairedDifference]]:
    """Return two versions, by number or alias, and every metric's paired difference on images, first minus second.

    Raise UserError where their classes differ, or one cannot be asked.
    """
    versions = [registry.version(name) for name in names]
    tables = [on_images(registry, version, images, threads) for version in versions]
    return versions, compared(tables[0], tables[1], images, confidence)
