from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.common.errors import UserError
from pipeline.common.outcome import Cost, Epoch, Outcome
from pipeline.config.params import Compare
from pipeline.data.folds import train_valid
from pipeline.data.summary import DatasetSummary
from pipeline.statistics.build_comparison import build_comparison
from pipeline.statistics.validated import counts, measured
from tests.support.trained import RECIPE

SEEDS, FRACTIONS = (0, 1), (0.5, 1.0)
SIZES = {"a": 10, "b": 20}


@pytest.fixture
def trained(image_set):
    """Trainings of two strategies, of which b is right more often; each seed has its own validation images."""

    def outcome(skill, seed):
        _, rows = train_valid(image_set, 0.25, seed)
        rng = np.random.default_rng([seed, round(100 * skill)])
        right = rng.random(len(rows)) < skill
        said = np.where(right, image_set.labels[rows], 1 - image_set.labels[rows])
        valid = {"rows": rows, "probabilities": np.eye(2)[said] * 0.8 + 0.1}
        losses = {"log_loss": 0.5}
        return Outcome([Epoch(1, 0.5, losses)], Cost({}, 100, 1, 1, 1), valid=valid, images=20)

    return {name: {f: {seed: outcome(skill, seed) for seed in SEEDS} for f in FRACTIONS}
            for name, skill in (("a", 0.6), ("b", 0.95))}  # fmt: skip


def found(trained, image_set):
    return measured(trained, dict.fromkeys(SIZES, RECIPE), SIZES, image_set, "log_loss")


def compared(trained, image_set, prepared):
    dataset = DatasetSummary.load(prepared.summary / "summary.json")
    wanted = Compare(metric="accuracy", resamples=100, confidence=0.95, seed=0)
    known = counts(trained["a"][1.0][0], image_set)
    return build_comparison(found(trained, image_set), dataset, wanted, known)


def test_scores_are_those_on_validation(trained, image_set, prepared):
    made = compared(trained, image_set, prepared)
    assert (made.split, made.scored) == ("validation", {"low": 5, "top": 4})
    for strategy in made.strategies.values():
        assert strategy.test["accuracy"].per_seed == strategy.valid["accuracy"].per_seed
        assert [point.fraction for point in strategy.curve] == list(FRACTIONS)
    assert made.winner == "b"
    assert made.strategies["a"].search.trials == {"COMPLETE": 1}


def test_images_of_different_seeds_are_not_taken_for_the_same(trained, image_set):
    for predicted in found(trained, image_set).predictions.values():
        rows = [set(trained["a"][1.0][seed].valid["rows"]) for seed in SEEDS]
        table = predicted.tested["accuracy"]
        assert table.influence.shape == (2, len(rows[0] | rows[1]))
        assert predicted.curve[0.5]["accuracy"].influence.shape == table.influence.shape


def test_recalls_are_of_each_seeds_own_images(trained, image_set, prepared):
    strategy = compared(trained, image_set, prepared).strategies["a"]
    whole = np.array(strategy.confusion)
    assert whole.sum() == 2 * 9
    for c, scores in enumerate(strategy.classes.values()):
        assert scores.images == whole[c].sum() // 2
        by_seed = [np.mean(part.probabilities.argmax(1)[part.labels == c] == c) for part in parts(trained, image_set)]
        assert scores.recall.mean == pytest.approx(np.mean(by_seed))


def parts(trained, image_set):
    """Return labels and probabilities of each seed, of the trainings of a on all images."""
    for outcome in trained["a"][1.0].values():
        yield SimpleNamespace(labels=image_set.labels[outcome.valid["rows"]],
                              probabilities=outcome.valid["probabilities"])  # fmt: skip


def test_a_seed_that_diverged_once_is_left_out_of_all(trained, image_set):
    trained["a"][0.5][1] = replace(trained["a"][0.5][1], failed="it diverged", valid={})
    made = found(trained, image_set)
    assert {name: result.seeds for name, result in made.trained.items()} == {"a": (0,), "b": (0,)}
    assert [each.seed for each in made.trained["a"].diverged] == [1]
    assert made.trained["b"].diverged == ()


def test_where_no_seed_is_left_that_is_said(trained, image_set):
    for seed in SEEDS:
        trained["b"][1.0][seed] = replace(trained["b"][1.0][seed], failed="it diverged", valid={})
    with pytest.raises(UserError, match="b: it diverged; no seed is left"):
        found(trained, image_set)
