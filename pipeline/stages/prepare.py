"""Pack labelled images into arrays, split them, and report on them."""

import argparse
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.common.entry_point import exit_now, handle_user_errors, stage_parser
from pipeline.common.progress import Progress, one_thread_pool, quiet
from pipeline.common.timing import Stopwatch
from pipeline.config import params as parameters

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.data.scan import Plan, Squares


@handle_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    parser = stage_parser(
        __doc__,
        dev="folder for train and valid",
        test="folder for test",
        report="folder for the data report",
        timings="file for timings",
    )
    args = parser.parse_args(argv)
    params = parameters.load(args.params)
    quiet()
    one_thread_pool(params.runtime.threads)
    prepare(args, params)


def prepare(args: argparse.Namespace, params: parameters.Params) -> None:
    """Write the packed splits and the data report; raise UserError for images or labels that cannot be used."""
    from pipeline.data.scan import Plan, Squares

    root, temporary = args.params.resolve().parent / params.data.path, args.dev.with_name(f".{args.dev.name}.squares")
    plan = Plan(root, params.prepare.image_size, params.prepare.max_pixels, temporary)
    with Squares(plan) as squares:
        _prepare(args, params, plan, squares)


def _prepare(args: argparse.Namespace, params: parameters.Params, plan: "Plan", squares: "Squares") -> None:
    import pandas as pd

    from pipeline.common.files import write_json
    from pipeline.data import cleaning, image_set, manifest, readers
    from pipeline.data.data_report import write_data_report
    from pipeline.data.facts import Facts
    from pipeline.data.scan import read
    from pipeline.data.summary import notes_on

    watch, wanted, root, label = Stopwatch(), params.prepare, plan.root, params.data.label
    found = readers.read(root)
    tell = cleaning.forgive if wanted.on_problem == "exclude" else cleaning.refuse
    cleaning.check_folders(root, tell)
    places = pd.Index([])
    with Progress("reading", len(found), "image") as bar:

        def facts(paths: list[str]) -> Iterator[Facts | str]:
            nonlocal places
            places = pd.Index(paths)
            return read(plan, paths, bar.step, wanted.workers)

        vetted = cleaning.vet(root, found, label, wanted, facts, tell)
    table = vetted.table
    if wanted.max_images and wanted.max_images < len(table):
        ids, strata = table["id"].to_numpy(dtype=str), _kinds(table).to_numpy(dtype=str)
        kept, _ = image_set.stratified_split(ids, strata, len(table) - wanted.max_images, wanted.seed)
        table = table.iloc[kept].reset_index(drop=True)
    manifest.check_labels(table, wanted.test_fraction, wanted.valid_fraction)
    parts = image_set.three_way(table, wanted.test_fraction, wanted.valid_fraction, wanted.seed)
    grouped = "group" in found and label != "group"
    notes = [
        *_notes(table, grouped, parts == "test", parts == "valid"),
        *vetted.notes,
        *cleaning.passed_over(root, table),
    ]
    table = table.drop(columns="split", errors="ignore")
    table.insert(1, "split", parts)
    classes, grey = sorted(table["label"].unique()), bool(table["grey"].all())
    digests = {}
    with Progress("packing", len(table), "image") as bar:
        for folder, chosen in ((args.dev, parts != "test"), (args.test, parts == "test")):
            rows = table[chosen].reset_index(drop=True)
            at = places.get_indexer(rows["path"])
            digests[folder.name] = manifest.pack(rows, squares, at, folder, classes, grey, bar.step)
    left = vetted.listing()
    summary = write_data_report(table, image_set.load(args.dev), params.data.name, digests, args.report, notes,
                                   left, vetted.kinds, vetted.marks)  # fmt: skip
    write_json(args.timings, watch.read())
    print("".join(f"{note}\n" for note in notes_on(summary)), end="")


def _kinds(table: "pd.DataFrame") -> "pd.Series":
    """Return what a limit keeps the shares of: strata, on each side of the user's split where there is one."""
    return table["stratum"] + "/" + (table["split"] == "test").astype(str) if "split" in table else table["stratum"]


def _notes(table: "pd.DataFrame", grouped: bool, test: Any, valid: Any) -> list[str]:
    """Return what is to be said of a split that is the user's, or that keeps the user's groups whole."""
    notes = []
    if "split" in table:
        counts = table["split"].value_counts()
        notes.append(
            f"The {test.sum()} test images are those of your split. Its {counts.get('train', 0)} train and "
            f"{counts.get('valid', 0)} valid images are pooled: train and valid are drawn anew for each seed."
        )
    if grouped:
        notes.append(
            f"None of {table['group'].nunique()} groups is in two splits: test has {test.mean():.1%} of the images, "
            f"valid {valid.sum() / (~test).sum():.1%} of the rest."
        )
    if "weight" in table:
        weights = table["weight"].astype(float)
        notes.append(
            f"In training an image counts by its weight, from {weights.min():g} to {weights.max():g}; scores count "
            "all images alike."
        )
    return notes


if __name__ == "__main__":
    exit_now(main())
