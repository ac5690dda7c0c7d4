"""Comparisons of made-up predictions, by the code that compares real ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.config.params import Compare
from pipeline.config.recipe import Recipe
from pipeline.data.summary import DatasetSummary, ExcludedImages
from pipeline.statistics.build_comparison import build_comparison
from pipeline.statistics.schema import Comparison, StrategyCost
from pipeline.statistics.scores_and_differences import StrategyPredictions
from pipeline.statistics.stored_results import Measured, TrainedPoint, TrainResult, TuneResult

RECIPE = Recipe(backbone="compact", weights="random", cut="input", epochs=1, learning_rate=0.1)


@dataclass(frozen=True)
class Trained:
    """A strategy's predictions, and what its trainings cost."""

    predictions: StrategyPredictions
    train_flops: int = 10**6
    images: Mapping[float, int] = field(default_factory=lambda: {1.0: 200})  # by fraction
    flops: Mapping[float, int] = field(default_factory=dict)  # of one training, by fraction below 1

    def result(self, name: str) -> TrainResult:
        cost = StrategyCost(search_flops=1, train_flops=self.train_flops, fit_flops=1, predict_flops=1, parameters=1,
                            trainable_parameters=1, model_bytes=1)  # fmt: skip
        flops = {**self.flops, 1.0: self.train_flops}
        points = [
            TrainedPoint(fraction=f, images=n, train_flops=flops[f], test=()) for f, n in sorted(self.images.items())
        ]
        return TrainResult(strategy=name, recipe=RECIPE, seeds=(), best_seed=1, cost=cost, curve=tuple(points),
                           transfer=None, valid=(), test=())  # fmt: skip


def compared(
    strategies: Mapping[str, Trained],
    metric: str = "accuracy",
    resamples: int = 400,
    confidence: float = 0.95,
    counts: Sequence[int] = (),
) -> Comparison:
    """Return the comparison of some strategies; `counts` are the training images of each class, ten if not given."""
    first = next(iter(strategies.values())).predictions
    names = tuple(map(str, range(first.test.probabilities[0].shape[1])))
    even = dict.fromkeys(names, 10)
    train = dict(zip(names, counts)) if counts else even
    dataset = DatasetSummary(name="made-up", digest="d1g35t", classes=names, images=30 * len(names), duplicates=0,
                             counts={"train": train, "valid": even, "test": even}, channels=1,
                             excluded=ExcludedImages(kinds={}, first=()), marks={}, notes=())  # fmt: skip
    tuned = {
        name: TuneResult(strategy=name, recipe=RECIPE, best_trial=0, objective="log_loss", value=0.5,
                         trials={"COMPLETE": 1}, search_flops=1, budget_flops=None, ended_by="trials")
        for name in strategies
    }  # fmt: skip
    measured = Measured(
        trained={name: each.result(name) for name, each in strategies.items()},
        tuned=tuned,
        predictions={name: each.predictions for name, each in strategies.items()},
        tested={},
        trials={},
        timings={},
    )
    wanted = Compare.model_construct(metric=metric, resamples=resamples, confidence=confidence, seed=0)
    return build_comparison(measured, dataset, wanted)
