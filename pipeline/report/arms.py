"""What MLflow shows of each strategy: scores, cost and verdict on its run, and its model card."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.common.files import read_json, write_text
from pipeline.config.backbone_table import Own, resolve
from pipeline.report.model_card import CardSources, model_card, verdict_on
from pipeline.statistics.schema import Comparison
from pipeline.statistics.stored_results import Measured
from pipeline.tracking.arm_runs import ScoredArm
from pipeline.tracking.client import NOTE
from pipeline.tracking.logged_models import model_key
from pipeline.verdict.schema import Verdict


@dataclass(frozen=True)
class CardMaterial:
    """What all cards are made of, beside the comparison."""

    registered: str  # the name of the registered model
    own: Own  # the user's names of backbones
    about: Mapping[str, Any]  # commit and versions
    models: Path  # a folder for each strategy's model


def write_cards(
    comparison: Comparison, verdict: Verdict, measured: Measured, material: CardMaterial, out: Path
) -> dict[str, Path]:
    """Write a card for each model; return them by strategy. Raise UserError where a model is missing."""
    files = {}
    for name, found in comparison.strategies.items():
        sources = CardSources(
            registered=material.registered,
            trained=measured.trained[name],
            backbone=resolve(found.recipe.backbone, material.own),
            model_digest=model_key(material.models / name),
            about=material.about,
            unknown=read_json(material.models / name / "model.json").get("unknown"),
        )
        files[name] = out / name / "README.md"
        write_text(files[name], model_card(comparison, verdict, name, sources))
    return files


def scored_arms(
    comparison: Comparison, verdict: Verdict, results: Path, cards: Mapping[str, Path]
) -> list[ScoredArm]:  # fmt: skip
    """Return what MLflow shows of each strategy, the best on test first; `results` has its <strategy>.json."""
    return [
        ScoredArm(
            name=name,
            result=results / f"{name}.json",
            params=comparison.strategies[name].recipe.model_dump() | {"strategy": name},
            metrics=_metrics(comparison, name),
            tags=_tags(comparison, verdict, name),
            files=(cards[name],),
        )
        for name in comparison.ranked(comparison.strategies, "test")
    ]


def _metrics(comparison: Comparison, name: str) -> dict[str, float]:
    """Return scores with the ends of their intervals on test, calibration and costs."""
    found = comparison.strategies[name]
    ends = {f"test_{metric}_{end}": value for metric, score in found.test.items()
            for end, value in zip(("low", "high"), score.ci)}  # fmt: skip
    means = {f"{split}_{metric}": score.mean for split, scores in (("valid", found.valid), ("test", found.test))
             for metric, score in scores.items()}  # fmt: skip
    return means | ends | {"test_calibration_error": found.calibration.raw.ece} | found.cost.model_dump()


def _tags(comparison: Comparison, verdict: Verdict, name: str) -> dict[str, str]:
    standing = verdict.standings.get(name)
    word = "recommended" if name == verdict.recommended else "excluded" if name in verdict.excluded else (
        standing.standing if standing else "not recommended")  # fmt: skip
    return {"stage": "arm", "strategy": name, "backbone": comparison.strategies[name].recipe.backbone, "verdict": word,
            NOTE: verdict_on(comparison, verdict, name)}  # fmt: skip
