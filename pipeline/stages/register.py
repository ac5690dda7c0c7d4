"""Register the best model of each strategy; the one that the verdict recommends becomes champion."""

from collections.abc import Sequence
from typing import Any

from pipeline.common.entry_point import exit_now, handle_user_errors, stage_parser
from pipeline.common.progress import quiet
from pipeline.config import params as parameters
from pipeline.tracking.client import KEY
from pipeline.tracking.registry import CHAMPION, Registry, Version


@handle_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    parser = stage_parser(
        __doc__,
        comparison="the comparison",
        verdict="the verdict under constraints",
        models="folder with a folder per strategy",
        cards="folder with each one's model card",
        out="file for what was registered",
    )
    args = parser.parse_args(argv)
    params = parameters.load(args.params)
    quiet()
    from pipeline.common.files import write_json
    from pipeline.common.hashes import digest
    from pipeline.statistics.recommendation import Recommendation
    from pipeline.statistics.schema import Comparison
    from pipeline.tracking.arm_runs import ArmTracker
    from pipeline.tracking.experiments import Dataset
    from pipeline.tracking.logged_models import model_key
    from pipeline.tracking.model_cards import ALIASES, publish_cards, registered_model_says

    compared, chosen = Comparison.load(args.comparison), Recommendation.load(args.verdict).recommended
    wanted, dataset = params.register_, compared.dataset
    root = args.params.resolve().parent
    named = Dataset(dataset.name, dataset.digest, params.data.path)
    tracker = ArmTracker(root, params.tracking.experiment, named)
    folders = {name: args.models / name for name in sorted(compared.strategies)}
    keys = {name: model_key(folder) for name, folder in folders.items()}
    gain = None if chosen is None else compared.gain_over_majority(chosen)
    gate = {
        "gain_over_majority": gain,
        "min_gain_over_majority": wanted.min_gain_over_majority,
        "passed": gain is not None and gain >= wanted.min_gain_over_majority,
    }
    key = f"register-{digest([wanted, keys, compared, chosen])}"
    with tracker.stage(key, "register", {"stage": "register"}) as run:
        registry = Registry(root, wanted.model)
        promoted = chosen if gate["passed"] else None
        tags = {name: {KEY: keys[name], "strategy": name, "backbone": found.recipe.backbone,
                       "data": dataset.digest} for name, found in compared.strategies.items()}  # fmt: skip
        models = {name: tracker.model(name, folder, compared.strategies[name].recipe.model_dump())
                  for name, folder in folders.items()}  # fmt: skip
        versions = _add(registry, models, tags, promoted)
        champion = registry.champion()
        about = registered_model_says(dataset.name, dataset.classes, ALIASES)
        publish_cards(root, wanted.model, versions, args.cards, about)
        write_json(args.out, {"model": wanted.model, "recommended": chosen, "gate": gate, "champion": champion,
                              "versions": _described(versions, keys, champion)})  # fmt: skip
        tracker.finish(run, {} if gain is None else {"gain_over_majority": gain}, [args.out])
    print(_closing(wanted.model, chosen, gate, champion))


def _add(
    registry: Registry, models: dict[str, str], tags: dict[str, dict[str, str]], promoted: str | None
) -> dict[str, int]:
    """Register every strategy's model, and point `champion` at the promoted one's; return the versions."""
    versions = {}
    for name, model in models.items():
        aliases = [f"best-{name}", *([CHAMPION] if name == promoted else [])]
        versions[name] = registry.add(model, aliases, tags[name])
    return versions


def _described(versions: dict[str, int], keys: dict[str, str], champion: Version | None) -> dict[str, Any]:
    """Return each version with the aliases that now point at it."""
    serving = champion.version if champion else None
    return {
        name: {
            "version": number,
            "aliases": [f"best-{name}", *([CHAMPION] if number == serving else [])],
            "digest": keys[name],
        }
        for name, number in versions.items()
    }


def _closing(model: str, chosen: str | None, gate: dict[str, Any], champion: Version | None) -> str:
    if gate["passed"]:
        return f"Registered: models:/{model}@champion is {chosen}, which the verdict recommends."
    refused = "no strategy meets the constraints." if chosen is None else (
        f"on validation {chosen} is {100 * gate['gain_over_majority']:.1f} points above always predicting the largest "
        f"class; register.min_gain_over_majority requires {100 * gate['min_gain_over_majority']:.1f}."
    )  # fmt: skip
    if champion is None:
        return f"No champion: {refused}"
    return (
        f"No new champion: {refused} models:/{model}@champion stays version {champion.version} "
        f"({champion.strategy}, data {champion.data})."
    )


if __name__ == "__main__":
    exit_now(main())
