"""Build the comparison, which comparison.json holds, of all that was measured of the strategies."""

from itertools import combinations

import numpy as np

from pipeline.config.metric_names import resolve_metric
from pipeline.config.params import Compare
from pipeline.data.summary import DatasetSummary
from pipeline.statistics import calibration, crossover
from pipeline.statistics.backbone_ranking import ranking
from pipeline.statistics.schema import Comparison, CurvePoint, FittedCurve, SearchSummary, StrategyResult
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


def build_comparison(measured: Measured, dataset: DatasetSummary, wanted: Compare) -> Comparison:
    """Return the comparison of the strategies measured on a data set."""
    metric = resolve_metric(wanted.metric, dataset.counts["train"])
    predictions = measured.predictions
    draws = {
        name: np.stack(list(by_fraction.values()), 1)
        for name, by_fraction in curve_draws(predictions, metric, wanted.resamples, wanted.seed).items()
    }
    # The same for all strategies: they share the splits.
    sizes = np.array([point.images for point in next(iter(measured.trained.values())).curve], dtype=float)
    strategies = {
        name: _strategy(measured.trained[name], measured.tuned[name], predictions[name], dataset.classes,
                        _law(sizes, draws[name], metric, wanted.confidence), wanted.confidence)
        for name in sorted(predictions)
    }  # fmt: skip
    winner = choose({name: strategy.valid[metric].mean for name, strategy in strategies.items()}, metric)
    found = Comparison(
        dataset=dataset,
        metric=metric,
        metric_is_auto=wanted.metric == "auto",
        confidence=wanted.confidence,
        seeds=len(predictions[winner].test.labels),
        strategies=strategies,
        pairs=compare_pairs(predictions, metric, wanted.resamples, wanted.confidence, wanted.seed),
        crossovers=tuple(
            crossover.crossover(a, b, sizes, draws[a], draws[b], metric, wanted.confidence)
            for a, b in combinations(sorted(predictions), 2)
        ),
        ranking=None,
        winner=winner,
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


def _law(sizes: np.ndarray, draws: np.ndarray, metric: str, confidence: float) -> FittedCurve | None:
    """Return a learning curve's law with its band, up to REACH times the images; None of a single point."""
    grid = np.geomspace(sizes[0], sizes[-1] * crossover.REACH, FINEST)
    found = crossover.band(sizes, draws, grid, metric, confidence)
    if found is None:
        return None
    images, low, middle, high = (tuple(values.tolist()) for values in (grid, *found))
    return FittedCurve(images=images, low=low, middle=middle, high=high)
