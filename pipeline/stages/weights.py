"""Fetch the weights of backbones that no package holds: downloads, the user's files, registered models."""

from collections.abc import Mapping, Sequence
from functools import partial

from pipeline.common.entry_point import exit_now, handle_user_errors, stage_parser
from pipeline.common.progress import quiet
from pipeline.config import params as parameters
from pipeline.config.backbone_table import BACKBONES
from pipeline.config.strategies import Strategy


@handle_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    args = stage_parser(__doc__, out="folder for a folder per backbone").parse_args(argv)
    params = parameters.load(args.params)
    quiet()
    from pipeline.common.files import write_json

    index = {}
    asked = wanted({name: params.strategy(name) for name in params.arms})
    if asked:
        from pipeline.network import fetching  # which takes seconds, and most need not wait for it
        from pipeline.tracking import registry

        root = args.params.resolve().parent
        for name, (pretrained, cuts) in sorted(asked.items()):
            ask = fetching.BackboneRequest(name, pretrained, cuts)
            index[name] = fetching.fetch(ask, params.own, root, args.out, partial(registry.fetch, root))
    write_json(args.out / "index.json", index)


def wanted(rows: Mapping[str, Strategy]) -> dict[str, tuple[bool, dict[str, tuple[int | str, ...]]]]:
    """Return, for each backbone that is no row of BACKBONES, whether weights are wanted, and each strategy's cuts."""
    found: dict[str, tuple[bool, dict[str, tuple[int | str, ...]]]] = {}
    for strategy, row in rows.items():
        for name in row.values("backbone"):
            if name not in BACKBONES:
                before, cuts = found.get(name, (False, {}))
                found[name] = (before or "pretrained" in row.values("weights"), {**cuts, strategy: row.cuts()})
    return found


if __name__ == "__main__":
    exit_now(main())
