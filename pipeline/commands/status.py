"""`headstart status`: what is done, what a run would do, and how long that may take."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.commands.dvc_stages import StageStatus
    from pipeline.execution.so_far import Estimate

SHOWN = 3  # reasons that a line names
TITLES = ("stage", "what a run would do", "took last", "may take, in CPU time")
UNKNOWN = "not known"


def status() -> None:
    """Show what is done and what a run would do.

    And how long that may take, by the times of the last run here. Nothing is run or changed.
    """
    from pipeline.commands.dvc_stages import stages
    from pipeline.commands.options import PARAMS
    from pipeline.config import params as parameters
    from pipeline.execution.so_far import arms, estimates

    params = parameters.load(PARAMS)  # says what is wrong in better words than DVC
    found, times = stages(Path()), estimates(Path("results"), params)
    print(table(found, times))
    known = arms(Path("results"), params)
    if known:
        print(f"\nKnown so far, {known[0].metric.replace('_', ' ')} on validation: "
              f"{', '.join(f'{arm.name} {100 * arm.score:.1f} % (after {arm.stage})' for arm in known)}.")  # fmt: skip
    print(f"\n{summary(found)}")
    if ahead := to_come(found, times):
        print(ahead)


def table(found: Sequence["StageStatus"], times: Mapping[str, "Estimate"]) -> str:
    """Return a line for each stage; `times` may lack stages."""
    from pipeline.common.text_table import text_table
    from pipeline.verdict.formatting import duration

    rows = [(s.name, _plan(s), UNKNOWN if s.seconds is None else duration(s.seconds), _ahead(s, times)) for s in found]
    return text_table([TITLES, *rows])


def _ahead(stage: "StageStatus", times: Mapping[str, "Estimate"]) -> str:
    from pipeline.verdict.formatting import duration

    if stage.done or stage.name not in times:
        return ""
    return f"{duration(times[stage.name].seconds)}, by {times[stage.name].basis}"


def to_come(found: Sequence["StageStatus"], times: Mapping[str, "Estimate"]) -> str:
    """Return a sentence on the processor time of the stages that a run would do, as far as it is known."""
    from pipeline.verdict.formatting import duration

    known = [times[stage.name].seconds for stage in found if not stage.done and stage.name in times]
    if not known:
        return ""
    return (
        f"Of these, {len(known)} may take {duration(sum(known))} of processor time in all, each by what its line says."
    )


def _plan(stage: "StageStatus") -> str:
    if stage.running:
        return "running now"
    if stage.never:
        return "run it for the first time"
    if stage.changes:
        return f"run it again, changed: {_some(stage.changes)}"
    if stage.waits:
        return f"run it again if what it gets from {_some(stage.waits)} changes"
    return "nothing: done"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def summary(found: Sequence["StageStatus"]) -> str:
    """Return what a run would do in all, and how long it may take, in a few sentences."""
    todo = [stage for stage in found if not stage.done]
    running = [stage.name for stage in todo if stage.running]
    if running:
        left = len(todo) - len(running)
        after = f"; {left} stage{'s are' if left > 1 else ' is'} left after that" if left else ", its last stage"
        return f"A run is going on, at {', '.join(running)}{after}."
    if not todo:
        return "All is done: a run would do nothing. `uv run headstart report` opens the report."
    return f"`uv run dvc repro` would do up to {len(todo)} of {len(found)} stages. {_time([s.seconds for s in todo])}"


def _time(seconds: Sequence[float | None]) -> str:
    """Return a sentence on how long stages took when they last ran."""
    from pipeline.verdict.formatting import duration

    known = [each for each in seconds if each is not None]
    missing = len(seconds) - len(known)
    if not known:
        return "How long that takes is not known: no such stage has left its time here."
    if not missing:
        return f"They took {duration(sum(known))} in all when they last ran."
    took = f"{len(known)} of them took {duration(sum(known))} in all when they last ran"
    if len(known) == 1:
        took = f"One of them took {duration(known[0])} when it last ran"
    return f"{took}; of the other{f' {missing}' if missing > 1 else ''} no time is known."
