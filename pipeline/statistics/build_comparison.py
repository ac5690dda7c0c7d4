"""Build the comparison, which comparison.json holds, of all that was measured of the strategies."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from pipeline.config.metric_names import resolve_metric
from pipeline.config.params import Compare
from pipeline.data.summary import DatasetSummary
from pipeline.statistics import calibration, crossover
from pipeline.statistics.backbone_ranking import ranking
from pipeline.statistics.evidence import evidence
from pipeline.statistics.joint_scores import joint_scores
from pipeline.statistics.schema import Comparison, Crossover, CurvePoint, FittedCurve, SearchSummary, StrategyResult
from pipeline.statistics.scores_and_differences import (
    StrategyPredictions,
    choose,
    class_scores,
    compare_pairs,
    confusion,
    curve_draws,
    curve_scores,
    scores_on_test,
    scores_on_valid,
)
from pipeline.statistics.stored_results import Measured, TrainResult, TuneResult

FINEST = 60  # sizes at which a curve's law is drawn


def build_comparison(
    measured: Measured, dataset: DatasetSummary, wanted: Compare, validated: dict[str, int] | None = None
) -> Comparison:
    """Return the comparison of the strategies measured on a data set; `validated` as a Comparison has it."""
    metric = resolve_metric(wanted.metric, dataset.counts["train"])
    predictions = measured.predictions
    tables, unseen = evidence(predictions)
    draws = curve_draws(predictions, metric, wanted.resamples, wanted.seed)
    sizes = {name: {p.fraction: p.images for p in trained.curve} for name, trained in measured.trained.items()}
    strategies = {
        name: _strategy(measured.trained[name], measured.tuned[name], predictions[name], dataset.classes,
                        _law(sizes[name], draws[name], metric, wanted.confidence), wanted.confidence)
        for name in sorted(predictions)
    }  # fmt: skip
    winner = choose({name: strategy.valid[metric].mean for name, strategy in strategies.items()}, metric)
    found = Comparison(
        dataset=dataset,
        metric=metric,
        metric_is_auto=wanted.metric == "auto",
        confidence=wanted.confidence,
        worth=wanted.worth,
        seeds=len(predictions[winner].test.labels),
        strategies=strategies,
        unseen=unseen,
        pairs=compare_pairs(predictions, metric, wanted.resamples, wanted.confidence, wanted.seed, tables),
        joint=joint_scores(predictions, sizes, metric, tables),
        crossovers=tuple(
            _crossover(a, b, sizes[a], draws, metric, wanted.confidence)
            for a, b in combinations(sorted(predictions), 2)
        ),
        ranking=None,
        winner=winner,
        validated=validated,
    )
    return found.model_copy(update={"ranking": ranking(found)})


def _strategy(
    trained: TrainResult, tuned: TuneResult, predictions: StrategyPredictions, classes: tuple[str, ...],
    law: FittedCurve | None, confidence: float,
) -> StrategyResult:  # fmt: skip
    curve = curve_scores(predictions, confidence)
    valid, test = predictions.valid, predictions.test
    return StrategyResult(
        recipe=trained.recipe,
        valid=scores_on_valid(predictions, confidence),
        test=scores_on_test(predictions, confidence),
        cost=trained.cost,
        search=SearchSummary(
            trials=tuned.trials,
            search_flops=tuned.search_flops,
            budget_flops=tuned.budget_flops,
            ended_by=tuned.ended_by,
        ),
        transfer=trained.transfer,
        classes=dict(zip(classes, class_scores(test, confidence), strict=True)),
        confusion=tuple(map(tuple, confusion(test))),
        curve=tuple(
            CurvePoint(
                fraction=point.fraction,
                images=point.images,
                train_flops=point.train_flops,
                scores=curve[point.fraction],
            )
            for point in trained.curve
        ),
        law=law,
        calibration=calibration.summarise(
            (valid.labels, valid.probabilities), (test.labels, test.probabilities)
        ),
        stopped=trained.stopped,
        diverged=trained.diverged,
    )  # fmt: skip


def _stacked(
    sizes: Mapping[float, int], *draws: Mapping[float, np.ndarray]
) -> tuple[np.ndarray, list[np.ndarray]]:  # fmt: skip
    """Return the numbers of images (F,) at which all have draws, and each one's draws (resamples, F)."""
    fractions = [fraction for fraction in sizes if all(fraction in each for each in draws)]
    stacked = [np.stack([each[fraction] for fraction in fractions], 1) for each in draws]
    return np.array([sizes[fraction] for fraction in fractions], dtype=float), stacked


def _crossover(
    a: str, b: str, sizes: Mapping[float, int], draws: Mapping[str, Mapping[float, np.ndarray]], metric: str,
    confidence: float,
) -> Crossover:  # fmt: skip
    shared, (first, second) = _stacked(sizes, draws[a], draws[b])
    return crossover.crossover(a, b, shared, first, second, metric, confidence)


def _law(
    images: Mapping[float, int], by_fraction: Mapping[float, np.ndarray], metric: str, confidence: float
) -> FittedCurve | None:
    """Return a learning curve's law with its band, up to REACH times the images; None of a single point."""
    sizes, (draws,) = _stacked(images, by_fraction)
    grid = np.geomspace(sizes[0], sizes[-1] * crossover.REACH, FINEST)
    found = crossover.band(sizes, draws, grid, metric, confidence)
    if found is None:
        return None
    at, low, middle, high = (tuple(values.tolist()) for values in (grid, *found))
    return FittedCurve(images=at, low=low, middle=middle, high=high)
