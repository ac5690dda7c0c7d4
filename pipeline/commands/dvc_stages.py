"""What DVC knows of the stages: which are done, and why the others are not. It is asked without its locks.

Under a lock, `dvc repro` in another terminal could find its files busy and fail.
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.common.errors import UserError

TIMINGS = "timings"  # a folder in the path of the file in which a stage leaves its times


@dataclass(frozen=True)
class StageStatus:
    """What is known of a stage; it is done where nothing but `seconds` says anything."""

    name: str
    running: bool = False  # now, by some `dvc repro`
    never: bool = False  # it has no result yet
    changes: tuple[str, ...] = ()  # settings and paths that are not what they were when it ran
    waits: tuple[str, ...] = ()  # the stages it needs that are not done
    seconds: float | None = None  # that it took last; None where that is not known

    @property
    def done(self) -> bool:
        """Say whether a run would pass it over."""
        return not (self.running or self.never or self.changes or self.waits)


def stages(root: Path) -> list[StageStatus]:
    """Return the stages of dvc.yaml in the order in which they run; raise UserError where DVC cannot tell."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.stage import PipelineStage

    try:
        with Repo(str(root)) as repo:
            graph = repo.index.graph
            written = set(_being_written(Path(repo.tmp_dir or root)))
            found: dict[Any, StageStatus] = {}
            for stage in _in_order(graph, repo.index.stages):
                if isinstance(stage, PipelineStage):  # and not a file that tracks data
                    needed = [(each, found[each]) for each in graph.successors(stage) if each in found]
                    found[stage] = _status(stage, needed, written)
    except DvcException as error:
        raise UserError(f"DVC cannot say what there is to do: {error}") from None
    return list(found.values())


def _in_order(graph: Any, listed: list[Any]) -> Iterator[Any]:
    """Yield stages so that what one needs comes before it, and otherwise as dvc.yaml has them."""
    from networkx import lexicographical_topological_sort

    # Tracked data first: a stage that needs some is not to wait for its place in the list.
    places = {stage: (not stage.is_data_source, number) for number, stage in enumerate(listed)}
    yield from lexicographical_topological_sort(graph.reverse(), key=places.__getitem__)


def _being_written(folder: Path) -> Iterator[str]:
    """Yield the paths that a living `dvc repro` is writing, as DVC notes them in a file."""
    with suppress(OSError, ValueError):
        for path, by in json.loads((folder / "rwlock").read_text(encoding="utf-8")).get("write", {}).items():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(by["pid"], 0)
                yield path


def _status(stage: Any, needed: list[tuple[Any, StageStatus]], written: set[str]) -> StageStatus:
    """Return what is known of a stage; `needed` holds those it needs, with what is known of each."""
    waits = [(each, status) for each, status in needed if not status.done]
    coming = [out.fs_path for each, _ in waits for out in each.outs]  # changes of these are no news
    never = all(out.hash_info.value is None for out in stage.outs)
    return StageStatus(
        stage.name,
        running=any(out.fs_path in written for out in stage.outs),
        never=never,
        changes=() if never else tuple(_changes(stage, coming)),
        waits=tuple(status.name for _, status in waits),
        seconds=_seconds(stage),
    )


def _changes(stage: Any, coming: list[str]) -> Iterator[str]:
    if stage.changed_stage():
        yield "its command"
    for dep in stage.deps:
        if not any(_overlap(dep.fs_path, path) for path in coming):
            for path, how in _state(dep).items():
                yield from how if isinstance(how, dict) else [path]  # of a file of parameters, the keys
    for out in stage.outs:
        yield from (f"{path} ({how})" for path, how in _state(out).items())


def _state(entry: Any) -> dict[str, Any]:
    """Return what DVC says of a dependency or an output; what a run removes at this moment is gone, in DVC's word."""
    try:
        found: dict[str, Any] = entry.status()
    except FileNotFoundError:
        return {str(entry): "deleted"}
    return found


def _overlap(one: str, other: str) -> bool:
    return Path(one).is_relative_to(other) or Path(other).is_relative_to(one)


def _seconds(stage: Any) -> float | None:
    """Return the seconds by the clock that a stage took last, where it left them."""
    for out in stage.outs:
        if TIMINGS in Path(out.fs_path).parts:
            with suppress(OSError, ValueError, KeyError, TypeError):
                return float(json.loads(Path(out.fs_path).read_text(encoding="utf-8"))["wall_seconds"])
    return None
