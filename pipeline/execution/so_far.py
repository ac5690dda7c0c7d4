"""What is known of the strategies while a run goes on, what is still to come, and how long that may take.

It reads what stages have written and their times, and changes nothing but results/progress.html, which is no result.
"""

import csv
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

from pipeline.common.files import write_text
from pipeline.config.params import Params
from pipeline.config.recipe import Recipe
from pipeline.execution.rounds import Point, minimum, rounds, whole_retrainings

PAGE: Final = "progress.html"
LAST, SEARCH, FIRST = "its last run", "its search's operations and their speed", "a first answer's, and their speed"


@dataclass(frozen=True)
class Estimate:
    """CPU-seconds that a stage may take, and by what that is known."""

    seconds: float
    basis: str


@dataclass(frozen=True)
class ArmSoFar:
    """What is known of a strategy: its score on validation by a metric, from which stage, and when that ended."""

    name: str
    stage: str
    metric: str
    score: float
    cpu_seconds: float  # of its search and trainings
    ended: float  # seconds since the epoch


def estimates(results: Path, params: Params) -> dict[str, Estimate]:
    """Return what is known of how long stages take, by their names in DVC: as they took last, or by operations."""
    found: dict[str, Estimate] = {}
    forecast = _read(results / "quick" / "forecast.json").get("strategies", {})
    for name in params.arms:
        for stage in ("tune", "train"):
            taken = _read(results / "timings" / stage / f"{name}.json").get("cpu_seconds")
            by_search = _train_seconds(results, name, params, minimum(params.train)) if stage == "train" else None
            known = ((taken, LAST), (by_search, SEARCH), (forecast.get(name, {}).get(stage), FIRST))
            estimate = next((Estimate(float(seconds), basis) for seconds, basis in known if seconds is not None), None)
            if estimate:
                found[dvc_name(stage, name, params)] = estimate
    race = _race(results, params, forecast)
    return found | ({"race": race} if race else {})


def _race(results: Path, params: Params, forecast: Mapping[str, Any]) -> Estimate | None:
    """Return what the race takes, which gives out the trainings that are left, if all strategies stay in it."""
    if taken := _read(results / "timings" / "race.json").get("cpu_seconds"):
        return Estimate(float(taken), LAST)
    points = [point for given in rounds(params.train) for point in given]
    by_search = {name: _train_seconds(results, name, params, points) for name in params.arms}
    known = {name: forecast.get(name, {}).get("race") if each is None else each for name, each in by_search.items()}
    if not points or None in known.values():
        return None
    return Estimate(sum(known.values()), FIRST if None in by_search.values() else SEARCH)


def dvc_name(stage: str, name: str, params: Params) -> str:
    """Return what DVC calls a stage of a strategy."""
    return f"{stage}@{name}" if name in params.enabled else f"{stage}-on@{name}"


def _train_seconds(results: Path, name: str, params: Params, points: Sequence[Point]) -> float | None:
    """Return what these trainings of a tuned recipe take: their operations, at the speed of its search."""
    tuned, taken = _read(results / "tune" / f"{name}.json"), _read(results / "timings" / "tune" / f"{name}.json")
    row = _best_trial(results, name, tuned)
    if not (row and taken and tuned["search_flops"]):
        return None
    whole = whole_retrainings(Recipe(**tuned["recipe"]), params.train, points)
    return whole * float(row["flops"]) * float(taken["cpu_seconds"]) / float(tuned["search_flops"])


def arms(results: Path, params: Params) -> list[ArmSoFar]:
    """Return the strategies of which something is known, in the order of params.yaml."""
    return [found for name in params.arms if (found := _arm(results, name)) is not None]


def _arm(results: Path, name: str) -> ArmSoFar | None:
    tuned = _read(results / "tune" / f"{name}.json")
    metric = "balanced_accuracy" if str(tuned.get("objective", "")).startswith("balanced") else "accuracy"
    for stage in ("race", "train", "tune"):
        file = results / stage / f"{name}.json"
        known = _read(file)
        scores = [each[metric] for each in known.get("valid", ())]
        if stage == "tune" and (row := _best_trial(results, name, known)):
            scores = [float(row[f"valid_{metric}"])]
        if scores:
            spent = sum(_read(results / "timings" / each / f"{name}.json").get("cpu_seconds", 0.0)
                        for each in ("tune", "train"))  # fmt: skip
            return ArmSoFar(name, stage, metric, sum(scores) / len(scores), spent, file.stat().st_mtime)
    return None


def _best_trial(results: Path, name: str, tuned: Mapping[str, Any]) -> dict[str, str]:
    with suppress(OSError, KeyError), (results / "tune" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return next((row for row in csv.DictReader(file) if row["trial"] == str(tuned["best_trial"])), {})
    return {}


def _read(file: Path) -> dict[str, Any]:
    """Return what a JSON file holds; nothing where it is missing or damaged, since this only informs."""
    with suppress(OSError, ValueError):
        found = json.loads(file.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    return {}


def tell(results: Path, params: Params) -> str:
    """Refresh the page of what is known so far; return the same in a line or two for the terminal."""
    known = arms(results, params)
    to_come = [dvc_name(stage, name, params) for name in params.arms for stage in ("tune", "train")
               if not (results / stage / f"{name}.json").exists()]  # fmt: skip
    times = estimates(results, params)
    scores = ", ".join(f"{a.name} {100 * a.score:.1f} % (after {a.stage}, {_minutes(a.cpu_seconds)})" for a in known)
    line = f"so far, {known[0].metric.replace('_', ' ')} on validation: {scores}" if known else "so far: nothing"
    if to_come:
        line += f"\nstill to come: {', '.join(_with_time(stage, times) for stage in to_come)}; then the comparison"
    write_text(results / PAGE, _page(params.data.name, known, to_come, times))
    return line


def _with_time(stage: str, times: Mapping[str, Estimate]) -> str:
    return f"{stage} (about {_minutes(times[stage].seconds)})" if stage in times else f"{stage} (time not known yet)"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.2g} CPU-minutes"


def _page(name: str, known: list[ArmSoFar], to_come: list[str], times: Mapping[str, Estimate]) -> str:
    rows = "".join(
        f"<tr><td>{escape(a.name)}</td><td>{a.stage}</td><td>{100 * a.score:.1f} %</td><td>{_minutes(a.cpu_seconds)}"
        f"</td><td>{time.strftime('%Y-%m-%d %H:%M', time.localtime(a.ended))}</td></tr>" for a in known
    )  # fmt: skip
    left = "".join(f"<li>{escape(_with_time(stage, times))}"
                   f"{', by ' + times[stage].basis if stage in times else ''}</li>" for stage in to_come)  # fmt: skip
    metric = known[0].metric.replace("_", " ") if known else "accuracy"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="20">'
        f"<title>{escape(name)}: so far</title><style>body{{font:16px sans-serif;max-width:50rem;margin:2rem auto}}"
        "td,th{padding:.2rem 1rem .2rem 0;text-align:left}</style></head><body>"
        f"<h1>{escape(name)}: so far</h1><table><tr><th>strategy</th><th>after</th><th>validation {metric}</th>"
        f"<th>spent</th><th>ended</th></tr>{rows}</table>"
        + (f"<h2>Still to come</h2><ul>{left}<li>the comparison</li></ul>" if to_come else "")
        + "<p>Scores are of validation images. The report will be results/report.html.</p></body></html>\n"
    )
