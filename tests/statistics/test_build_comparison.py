import numpy as np
import pytest

from pipeline.statistics.jackknife import Scored
from pipeline.statistics.scores_and_differences import StrategyPredictions
from pipeline.training.metrics import score
from tests.support.trained import Trained, compared

LABELS = np.arange(200) % 2


def predictions(skill, fractions=(), seed=0):
    """Return the predictions of three seeds, better than chance by so much; less on fewer images."""
    rng = np.random.default_rng(seed)

    def scored(strength):
        logits = [rng.normal(size=len(LABELS)) + strength * (2 * LABELS - 1) for _ in range(3)]
        return Scored([LABELS] * 3, [np.stack([1 / (1 + np.exp(x)), 1 / (1 + np.exp(-x))], 1) for x in logits])

    valid, test = scored(skill), scored(skill)
    scores = [[score(*pair) for pair in zip(part.labels, part.probabilities)] for part in (valid, test)]
    less = {f: StrategyPredictions(valid, scored(skill * f), *scores).tested for f in fractions}
    return StrategyPredictions(valid, test, *scores, less)


def test_with_a_learning_curve_there_is_a_law_and_with_one_size_there_is_none():
    curved = Trained(predictions(1.0, (0.25, 0.5)), images={0.25: 50, 0.5: 100, 1.0: 200}, flops={0.25: 3, 0.5: 6})
    law = compared({"a": curved}).strategies["a"].law
    assert (law.images[0], law.images[-1]) == (50, pytest.approx(2000))
    for low, middle, high in zip(law.low, law.middle, law.high):
        assert low < middle < high
    assert compared({"a": Trained(predictions(1.0))}).strategies["a"].law is None


def test_every_pair_has_a_difference_and_a_crossing_and_the_parts_agree():
    found = compared({name: Trained(predictions(skill, seed=n)) for n, (name, skill) in enumerate(
        [("c", 0.5), ("a", 1.0), ("b", 0.7)])})  # fmt: skip
    assert list(found.strategies) == ["a", "b", "c"]
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    assert [(pair.a, pair.b) for pair in found.pairs] == pairs
    assert [(crossover.a, crossover.b) for crossover in found.crossovers] == pairs
    assert (found.seeds, found.confidence, found.metric_is_auto) == (3, 0.95, False)
    for strategy in found.strategies.values():
        assert len(strategy.calibration.temperature) == 3
        assert sum(map(sum, strategy.confusion)) == 3 * len(LABELS)
        assert sum(scores.images for scores in strategy.classes.values()) == len(LABELS)


@pytest.mark.parametrize(("counts", "metric"), [((10, 10), "accuracy"), ((100, 10), "balanced_accuracy")])
def test_auto_is_resolved_by_the_training_images_of_each_class(counts, metric):
    found = compared({"a": Trained(predictions(1.0))}, "auto", counts=counts)
    assert (found.metric, found.metric_is_auto) == (metric, True)
