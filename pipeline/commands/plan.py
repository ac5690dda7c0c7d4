"""`headstart plan`: what a run would take, strategy by strategy, before anything is run."""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands.options import PARAMS, ParamsFile

if TYPE_CHECKING:
    from pipeline.config.params import Params
    from pipeline.data.quick_count import CountedImages
    from pipeline.search.arm_plan import ArmPlan
    from pipeline.search.workload import Step
    from pipeline.training.sketched_network import Sketches

WIDTH = 118  # columns, where nobody watches


def plan(
    folder: Annotated[Path | None, typer.Argument(metavar="[FOLDER]", help="Default: data.path.")] = None,
    images: Annotated[int | None, typer.Option(metavar="N", min=20, help="As if there were so many images.")] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Side by side; default: search.workers.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    params: ParamsFile = PARAMS,
) -> None:
    """Say what a run would take, before anything is run.

    Hours, disk and dollars of each strategy: operations are counted, and
    timed on this machine on a few images of noise; those of a GPU
    (cluster.gpu) are computed from its data sheet.
    """
    from pipeline.common.process_pool import cores
    from pipeline.common.progress import one_thread_pool, quiet
    from pipeline.config import params as parameters

    settings = parameters.load(params)
    quiet()
    one_thread_pool(settings.runtime.threads)
    from pipeline.data.quick_count import quick_count

    root = params.resolve().parent
    counted = quick_count(folder or root / settings.data.path, settings)
    counted = counted if images is None else counted.at(images)
    here = max(1, cores() // settings.runtime.threads)
    asked = settings.search.workers
    side_by_side = workers or (here if asked == "auto" else asked)
    if not as_json:
        print("counting operations, on a few images of noise", file=sys.stderr, flush=True)
    plans = {name: each for name, (each, _) in
             arms(settings, counted, side_by_side, sketched(settings, counted, root)).items()}  # fmt: skip
    found = document(settings, counted, side_by_side, plans)
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        show(found)


def sketched(settings: "Params", counted: "CountedImages", root: Path) -> "Sketches":
    """Return the networks of recipes for these images, with what stage `weights` has brought, if it has."""
    from pipeline.network.pretrained import WeightStore
    from pipeline.training.sketched_network import Sketches

    brought = root / "data" / "weights"
    weights = WeightStore(brought if brought.is_dir() else None)
    return Sketches(counted.side, counted.channels, counted.classes, weights, settings.runtime.threads)


def arms(
    settings: "Params", counted: "CountedImages", workers: int, sketches: "Sketches"
) -> dict[str, tuple["ArmPlan", "list[Step]"]]:
    """Return the plan of each strategy and its steps, in the order in which they are run, sharing features."""
    from functools import partial

    from pipeline.config.cluster import GPUS
    from pipeline.config.features import AUTO
    from pipeline.search.arm_plan import arm_plan
    from pipeline.search.workload import Counts, steps
    from pipeline.training.choose_views import CANDIDATES

    given, gpu = settings.features.views, settings.cluster.gpu
    views = 1 + len(CANDIDATES) if given == AUTO else len(given)  # at most, where they are chosen later
    counts = Counts(counted.train, counted.valid, counted.test, views, views if settings.features.tta else 1)
    seconds = sketches.seconds if gpu is None else partial(sketches.seconds_on, GPUS[gpu])
    found, known = {}, set[Any]()
    for name, row in settings.arms.items():
        work = steps(row, settings.search, settings.train, counts, sketches.of, sketches.flops, known)
        found[name] = arm_plan(row, work, sketches.flops, seconds, workers), work
    return found


def document(settings: "Params", counted: "CountedImages", workers: int, found: Mapping[str, "ArmPlan"]) -> Any:
    """Return the plan as plain numbers."""
    from pipeline.tracking import footprint

    gpu, price = settings.cluster.gpu, settings.cluster.price_per_hour
    rows = {}
    for name, each in found.items():
        runs = each.trials + each.trainings
        rows[name] = {
            **asdict(each),
            "database_rows": each.study_rows + footprint.rows(runs, each.epochs),
            "mlflow_calls": footprint.calls(runs),
            "dollars": None if price is None else each.clock_hours * workers * price,
        }
    keys = [key for key, value in next(iter(rows.values())).items() if value is not None]
    return {
        "images": {**asdict(counted), "images": counted.images},
        "workers": workers,
        "device": settings.runtime.device,
        "gpu": gpu,
        "speed": "measured" if gpu is None else "computed",
        "price_per_hour": price,
        "cache_limit": settings.features.cache_bytes,
        "strategies": rows,
        "total": {key: sum(row[key] for row in rows.values()) for key in keys},
    }


def show(found: Any) -> None:
    """Print the plan as a table, and what it rests on."""
    from rich.console import Console
    from rich.table import Table

    from pipeline.verdict.formatting import digits, duration, file_size, quantity

    priced, hours = found["price_per_hour"] is not None, "CPU-hours" if found["gpu"] is None else "GPU-hours"
    table = Table(box=None, pad_edge=False, header_style="bold", show_footer=True, footer_style="bold")
    names = ("strategy", "trials", "trainings", "units", "FLOPs", hours, "by the clock", "features", "database rows",
             "MLflow calls", *(["dollars"] if priced else []))  # fmt: skip

    def cells(row: Mapping[str, Any]) -> list[str]:
        return [
            *(f"{row[key]:,}" for key in ("trials", "trainings", "units")),
            quantity(row["flops"]),
            digits(row["hours"]),
            duration(3600 * row["clock_hours"]),
            file_size(row["cache_bytes"]),
            *(f"{row[key]:,}" for key in ("database_rows", "mlflow_calls")),
            *([f"{row['dollars']:,.2f}"] if priced else []),
        ]

    for name, total in zip(names, ["in all", *cells(found["total"])], strict=True):
        table.add_column(name, total, justify="left" if name == names[0] else "right", no_wrap=True)
    for name, row in found["strategies"].items():
        table.add_row(name, *cells(row))
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    console.print(table)
    console.print("\n".join(["", *notes(found)]))


def notes(found: Any) -> list[str]:
    """Return what the plan rests on, in sentences."""
    from pipeline.verdict.formatting import file_size

    data, gpu, workers = found["images"], found["gpu"], found["workers"]
    each = "a core of this machine" if gpu is None else f"one {gpu.upper()}"
    how = (
        "as timed here just now"
        if gpu is None
        else "computed from its data sheet, fed by a core of this machine as timed here: the least that it could take"
    )
    said = [
        f"{data['images']:,} images ({data['train']:,} to train on, {data['valid']:,} to validate, {data['test']:,} to "
        f"test), {data['classes']} classes. {workers} worker{'s' if workers > 1 else ''} with {each}, {how}.",
        "An upper end: no strategy is stopped by the race, and the costliest recipe wins. Reading the images, the "
        "comparison and the registry come on top.",
    ]
    if found["total"]["cache_bytes"] > found["cache_limit"]:
        said.append(
            f"Features take {file_size(found['total']['cache_bytes'])}, and the cache may hold "
            f"{file_size(found['cache_limit'])} (features.cache_gb): with less room they are made more than once, and "
            "a request that does not fit is refused."
        )
    if gpu is None and found["device"] != "cpu":
        said.append(f"runtime.device is {found['device']}: cluster.gpu would say which, and this what it takes there.")
    if found["price_per_hour"] is None:
        said.append("cluster.price_per_hour, in dollars for each worker, would say what it costs.")
    return said
