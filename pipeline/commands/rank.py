"""Rank candidate backbones before anything is trained, by how far their features separate the classes.

    python -m pipeline.commands.rank efficientnet_lite0 efficientnet_lite1

Each costs one pass over the images of train and valid, which the search then finds in the cache.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.common.entry_point import arguments, exit_now, handle_user_errors
from pipeline.common.errors import UserError
from pipeline.common.progress import Progress, one_thread_pool, quiet
from pipeline.common.text_table import text_table
from pipeline.config import params as parameters
from pipeline.config.backbone_table import BACKBONES, resolve
from pipeline.config.recipe import Recipe
from pipeline.config.settings import explain

NOTE = "Higher is better; a backbone that is not above raw pixels has little to give. It foretells, it does not decide."


@handle_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Print a table of the backbones, the highest LogME first."""
    parser = arguments(__doc__)
    parser.add_argument("backbones", nargs="*", help="names; default: those of pretrained strategies")
    parser.add_argument("--image-size", type=int, help="pixels (default: prepare.image_size)")
    parser.add_argument("--dev", type=Path, default=Path("data/prepared/dev"), help="train and valid (default: "
                        "%(default)s)")  # fmt: skip
    parser.add_argument("--work", type=Path, default=Path(".headstart"), help="where features are kept (default: "
                        "%(default)s)")  # fmt: skip
    args = parser.parse_args(argv)
    params = parameters.load(args.params)
    names = list(dict.fromkeys(args.backbones)) or candidates(params)
    size = args.image_size or params.prepare.image_size
    if size > params.prepare.image_size:
        raise UserError(f"--image-size: images are packed at {params.prepare.image_size} pixels (prepare.image_size)")
    recipes = [recipe(name, size, params.own) for name in names]
    quiet()
    one_thread_pool(params.runtime.threads)
    weight_store = args.work / "weights"
    bring(names, params.own, args.params.resolve().parent, weight_store)
    print(table(measured(recipes, params, args.dev, args.work, weight_store)))


def candidates(params: parameters.Params) -> list[str]:
    """Return the backbones of all strategies that start from pretrained ones; raise UserError where there are none."""
    rows = [arm.recipe for arm in params.arms.values()]
    found = [str(row["backbone"]) for row in rows if row.get("weights") == "pretrained" and "backbone" in row]
    if not found:
        raise UserError("no enabled strategy starts from one pretrained backbone; name backbones on the command line")
    return list(dict.fromkeys(found))


def recipe(backbone: str, size: int, own: Mapping[str, Any]) -> Recipe:
    """Return a recipe for the features of a pretrained backbone; raise UserError for one that cannot be."""
    try:
        resolve(backbone, own)
        untrained = {"weights": "pretrained", "cut": "head", "epochs": 1, "learning_rate": 1.0}
        return Recipe.model_validate({"backbone": backbone, "image_size": size, **untrained})
    except ValidationError as error:
        reasons = "; ".join(explain(problem, Recipe).strip() for problem in error.errors())
        raise UserError(f"{backbone}: {reasons}") from None
    except ValueError as error:
        raise UserError(f"{backbone}: {error}") from None


def bring(names: Sequence[str], own: Mapping[str, Any], root: Path, weight_store: Path) -> None:
    """Bring the weights of backbones that no package holds, as stage `weights` does for those of strategies."""
    asked = [name for name in names if name not in BACKBONES]
    if asked:
        from pipeline.network import fetching
        from pipeline.tracking import registry

        registered = partial(registry.fetch, root)
        for name in asked:
            fetching.fetch(fetching.Ask(name, True, {"rank": ("head",)}), own, root, weight_store, registered)


def measured(
    recipes: Sequence[Recipe], params: parameters.Params, dev: Path, work: Path, weight_store: Path
) -> dict[str, dict[str, float]]:
    """Return what is known of each backbone's features, by name; no image of test is read."""
    from pipeline.execution import jobs
    from pipeline.training import transferability

    context = jobs.open_context(
        dev, None, work, params.prepare.valid_fraction, params.features, params.runtime, (), weight_store
    )
    setting = replace(context.run_context, views=context.run_context.views[:1])
    found = {}
    with Progress("ranking", len(recipes), "backbone") as bar:
        for each in recipes:
            known = transferability.separation(each, setting, params.search.seed)
            assert known is not None
            found[each.backbone] = known
            bar.step()
    return found


def table(found: dict[str, dict[str, float]]) -> str:
    """Return the table, with raw pixels as the last row."""
    from pipeline.statistics.backbone_ranking import scores
    from pipeline.statistics.schema import Transferability
    from pipeline.verdict.formatting import BACKBONE_SCORES, decimals

    known = {name: Transferability.model_validate(each) for name, each in found.items()}
    ordered = sorted(known.items(), key=lambda item: -item[1].log_me)
    first = ordered[0][1]  # pixels and classes are the same for all
    rows = [(name, scores(each.features)) for name, each in ordered] + [("raw pixels", scores(first.pixels))]
    head = ("backbone", *BACKBONE_SCORES.values())
    cells = text_table([head, *((name, *map(decimals, values.values())) for name, values in rows)])
    return f"{cells}\nAlways naming the commonest class is right {100 * first.majority:.1f} %.\n{NOTE}"


if __name__ == "__main__":
    exit_now(main())
