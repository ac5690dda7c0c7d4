"""The model card: what a person must know of a model before using it, as Markdown with Hugging Face's YAML fields.

The fields: https://huggingface.co/docs/hub/model-cards; what to say: Mitchell et al. 2019, "Model Cards for Model
Reporting".
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from pipeline.config.backbone_table import Backbone
from pipeline.data.summary import notes_on
from pipeline.inference.limits import Limits
from pipeline.report.templating import template_environment
from pipeline.statistics.schema import ClassScores, Comparison, StrategyResult
from pipeline.statistics.stored_results import TrainResult
from pipeline.verdict import formatting
from pipeline.verdict.schema import Verdict, Word

MOST_CLASSES, MOST_NAMED = 30, 6  # in a card's table, and in its first sentence
HUB_METRICS = {"accuracy": "accuracy", "balanced_accuracy": "balanced_accuracy", "roc_auc": "roc_auc"}
UNKNOWN = "unknown"
STANDINGS: dict[Word, str] = {
    "better": "it is better than", "worse": "it is worse than", "equivalent": "it is practically equivalent to",
    "undecided": "it is undecided whether it is better or worse than",
}  # fmt: skip


@dataclass(frozen=True)
class CardSources:
    """What a card is made of, beside the comparison."""

    registered: str  # the name of the registered model
    trained: TrainResult
    backbone: Backbone
    model_digest: str
    about: Mapping[str, Any]  # commit and versions
    unknown: Mapping[str, float] | None = None  # from which probability on an answer is given, if that is asked for


def model_card(comparison: Comparison, verdict: Verdict, name: str, sources: CardSources) -> str:
    """Return README.md of the model of a strategy."""
    found, dataset = comparison.strategies[name], comparison.dataset
    environment = template_environment()
    environment.filters |= formatting.FILTERS
    seed = sources.trained.seeds.index(sources.trained.best_seed)
    text = environment.get_template("model_card.md.j2").render(
        name=name,
        c=comparison,
        s=found,
        d=dataset,
        registered=sources.registered,
        labels=_either(dataset.classes),
        recipe_words=_recipe_words(found),
        verdict_says=verdict_on(comparison, verdict, name),
        tested=f"{sum(dataset.counts['test'].values()):,}",
        seeds=len(sources.trained.seeds),
        best_seed=sources.trained.best_seed,
        own=sources.trained.test[seed],
        temperature=found.calibration.temperature[seed],
        confidence=formatting.level(comparison.confidence),
        classes=_hardest(found),
        limits=Limits(),
        notes=notes_on(dataset),
        weights_licence=_weights_licence(found, sources.backbone),
        model_digest=sources.model_digest,
        about=sources.about,
        unknown=sources.unknown,
    )
    fields = yaml.safe_dump(_fields(comparison, name, sources), sort_keys=False, allow_unicode=True, width=120)
    return f"---\n{fields}---\n{text}"


def verdict_on(comparison: Comparison, verdict: Verdict, name: str) -> str:
    """Return what the verdict says of a strategy, in a sentence."""
    if name == verdict.recommended:
        return verdict.answers.use
    if name in verdict.excluded:
        return f"Not recommended: {'; '.join(verdict.excluded[name])}."
    best, metric = verdict.recommended, formatting.called(comparison.metric)
    standing = verdict.standings.get(name)
    if standing is None:
        return "Not recommended."
    return f"Not recommended: by {metric}, {STANDINGS[standing.standing]} {best}, which is the one to use."


def _either(classes: Sequence[str]) -> str:
    """Return classes as a sentence lists them: a, b or c."""
    if len(classes) > MOST_NAMED:
        return f"{', '.join(classes[: MOST_NAMED - 1])} or one of {len(classes) - MOST_NAMED + 1} other classes"
    return " or ".join([", ".join(classes[:-1]), classes[-1]])


def _recipe_words(found: StrategyResult) -> str:
    recipe = found.recipe
    if recipe.weights == "random":
        return f"trains {recipe.backbone} from scratch"
    if recipe.cut == "head":
        return f"puts a head on {recipe.backbone}, whose pretrained weights stay as they are"
    return f"trains {recipe.backbone} further, from pretrained weights on"


def _hardest(found: StrategyResult) -> list[tuple[str, ClassScores]]:
    """Return the classes with their scores, all in order, or of many those that are recognised least."""
    if len(found.classes) <= MOST_CLASSES:
        return [*found.classes.items()]
    known = [(name, scores) for name, scores in found.classes.items() if scores.recall is not None]
    return sorted(known, key=lambda each: each[1].recall.mean if each[1].recall else 0.0)[:MOST_CLASSES]


def _weights_licence(found: StrategyResult, backbone: Backbone) -> str:
    return "none, it began with random ones" if found.recipe.weights == "random" else backbone.licence


def _fields(comparison: Comparison, name: str, sources: CardSources) -> dict[str, Any]:
    """Return Hugging Face's fields; the metrics are of this one model."""
    found, dataset = comparison.strategies[name], comparison.dataset
    licences = [dataset.licence or UNKNOWN, _weights_licence(found, sources.backbone)]
    pretrained = found.recipe.weights == "pretrained"
    scores = sources.trained.test[sources.trained.seeds.index(sources.trained.best_seed)]
    return {
        "license": "other",
        "license_name": _slug(f"data {licences[0]}") + (f"-weights-{_slug(licences[1])}" if pretrained else ""),
        "license_link": "README.md#licences",
        "library_name": "mlflow",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "headstart", name, found.recipe.backbone],
        "datasets": [dataset.name],
        **({"base_model": found.recipe.backbone} if pretrained else {}),
        "metrics": [*HUB_METRICS],
        "model-index": [
            {
                "name": f"{sources.registered}-{name}",
                "results": [
                    {
                        "task": {"type": "image-classification", "name": "Image classification"},
                        "dataset": {"type": dataset.name, "name": dataset.name, "split": "test",
                                    "revision": dataset.digest},
                        "metrics": [
                            {"type": kind, "name": f"test {formatting.called(metric)}",
                             "value": round(scores[metric], 4)}
                            for metric, kind in HUB_METRICS.items()
                        ],
                    }
                ],
            }
        ],
    }  # fmt: skip


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")[:60]
