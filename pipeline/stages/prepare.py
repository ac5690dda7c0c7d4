"""Pack a folder of labelled images into arrays, split them, and report on them."""

from collections.abc import Sequence

from pipeline import params as parameters
from pipeline.cli import arguments, guarded, leave
from pipeline.meters import Stopwatch
from pipeline.terminal import Progress, one_thread_pool, quiet


@guarded
def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    parser = arguments(__doc__, dev="folder for train and valid", test="folder for test", report="folder for the data "
                       "report", timings="file for timings")  # fmt: skip
    args = parser.parse_args(argv)
    params = parameters.load(args.params)
    quiet()
    one_thread_pool(params.runtime.threads)
    from pipeline import data, manifest, sources
    from pipeline.records import write_json
    from pipeline.report import markdown

    watch, wanted = Stopwatch(), params.prepare
    root = args.params.resolve().parent / params.data.path
    found = sources.read(root)
    with Progress("reading", len(found), "image") as bar:
        table = manifest.index(root, found, params.data.label, wanted.stratify, bar.step)
    if wanted.limit and wanted.limit < len(table):
        ids, strata = table["id"].to_numpy(dtype=str), table["stratum"].to_numpy(dtype=str)
        kept, _ = data.stratified_split(ids, strata, len(table) - wanted.limit, wanted.seed)
        table = table.iloc[kept].reset_index(drop=True)
    manifest.check_labels(table, wanted.test_fraction, wanted.valid_fraction)
    parts = data.three_way(table, wanted.test_fraction, wanted.valid_fraction, wanted.seed)
    table.insert(1, "split", parts)
    classes, grey = sorted(table["label"].unique()), bool(table["grey"].all())
    digests = {}
    with Progress("packing", len(table), "image") as bar:
        for folder, chosen in ((args.dev, parts != "test"), (args.test, parts == "test")):
            rows = table[chosen].reset_index(drop=True)
            digests[folder.name] = manifest.pack(root, rows, folder, wanted.image_size, classes, grey,
                                                 wanted.max_pixels, bar.step)  # fmt: skip
    markdown.data_report(table, data.load(args.dev), params.data.name, digests, args.report)
    write_json(args.timings, watch.read())


if __name__ == "__main__":
    leave(main())
