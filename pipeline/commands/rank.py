"""`headstart rank`: candidate backbones before anything is trained, by how far their features separate the classes.

Each costs one pass over the images of train and valid, which the search then finds in the cache.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands.options import PARAMS, WORK, ParamsFile, WorkFolder
from pipeline.common.errors import UserError
from pipeline.common.text_table import text_table

if TYPE_CHECKING:
    from pipeline.config.params import Params
    from pipeline.config.recipe import Recipe

NOTE = "Higher is better; a backbone that is not above raw pixels has little to give. It foretells, it does not decide."


def rank(
    backbones: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="BACKBONE", show_default=False, help="Names; without any, those of the pretrained strategies."
        ),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS", show_default="prepare.image_size", help="Pixels a side; auto is the most of a strategy."
        ),
    ] = None,
    dev: Annotated[
        Path, typer.Option(metavar="FOLDER", help="The images of train and valid, as `dvc repro prepare` leaves them.")
    ] = Path("data/prepared/dev"),
    work: WorkFolder = WORK,
    params: ParamsFile = PARAMS,
) -> None:
    """Rank backbones before anything is trained.

    By how far their features separate your classes, in one pass over the images each.
    """  # fmt: skip
    from pipeline.common.progress import one_thread_pool, quiet
    from pipeline.config import params as parameters

    settings = parameters.load(params)
    names = list(dict.fromkeys(backbones or ())) or candidates(settings)
    size = _size(image_size, settings)
    recipes = [recipe(name, size, settings.own) for name in names]
    quiet()
    one_thread_pool(settings.runtime.threads)
    weight_store = work / "weights"
    bring(names, settings.own, params.resolve().parent, weight_store)
    print(table(measured(recipes, settings, dev, work, weight_store)))


def _size(asked: int | None, settings: "Params") -> int:
    """Return the image_size to rank at: any if images are packed at `auto`, else at most what they are packed at."""
    packed = settings.prepare.image_size
    if packed == "auto":
        return asked or settings.largest_image_size
    if asked and asked > packed:
        raise UserError(
            f"--image-size: images are packed at {packed} pixels (prepare.image_size); raise that, or set it to auto"
        )
    return asked or packed


def candidates(params: "Params") -> list[str]:
    """Return the backbones of all strategies that start from pretrained ones; raise UserError where there are none."""
    rows = [arm.recipe for arm in params.arms.values()]
    found = [str(row["backbone"]) for row in rows if row.get("weights") == "pretrained" and "backbone" in row]
    if not found:
        raise UserError("no enabled strategy starts from one pretrained backbone; name backbones on the command line")
    return list(dict.fromkeys(found))


def recipe(backbone: str, size: int, own: Mapping[str, Any]) -> "Recipe":
    """Return a recipe for the features of a pretrained backbone; raise UserError for one that cannot be."""
    from pydantic import ValidationError

    from pipeline.config.backbone_table import resolve
    from pipeline.config.recipe import Recipe
    from pipeline.config.settings import explain

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
    from pipeline.config.backbone_table import BACKBONES

    asked = [name for name in names if name not in BACKBONES]
    if asked:
        from pipeline.network import fetching
        from pipeline.tracking import registry

        registered = partial(registry.fetch, root)
        for name in asked:
            fetching.fetch(
                fetching.BackboneRequest(name, True, {"rank": ("head",)}), own, root, weight_store, registered
            )


def measured(
    recipes: Sequence["Recipe"], params: "Params", dev: Path, work: Path, weight_store: Path
) -> dict[str, dict[str, float]]:
    """Return what is known of each backbone's features, by name; no image of test is read."""
    from pipeline.common.progress import Progress
    from pipeline.execution import jobs
    from pipeline.training import transferability

    one_view = params.features.model_copy(update={"views": ("identity",)})
    context = jobs.open_context(
        dev, None, work, params.prepare.valid_fraction, one_view, params.runtime, (), weight_store
    )
    found = {}
    with Progress("ranking", len(recipes), "backbone") as bar:
        for each in recipes:
            known = transferability.separation(each, context.run_context, params.search.seed)
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
