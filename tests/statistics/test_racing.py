import numpy as np
import pytest

from pipeline.common.outcome import Cost, Outcome
from pipeline.statistics.racing import behind, judge_of, stopping_level

COST = Cost({}, 1, 1, 1, 1)
IMAGES = 2000


def world(rng, rates, seeds=3, scatter=0.0, valid=400, joint=0.0):
    """Return labels, and outcomes by strategy and seed: strategies right with these rates, on each seed's own images.

    `scatter` is the deviation of a seed's rate, `joint` the share of the images on which all are right or wrong alike.
    """
    labels = rng.integers(0, 2, IMAGES)
    trained = {name: {} for name in rates}
    for seed in range(seeds):
        rows = np.sort(rng.choice(IMAGES, valid, replace=False))
        alike, shared = rng.random(valid) < joint, rng.random(valid)
        for name, rate in rates.items():
            drawn = np.where(alike, shared, rng.random(valid))
            right = drawn < rate + scatter * rng.normal()
            sure = np.where(right, labels[rows], 1 - labels[rows])
            found = {"rows": rows.tolist(), "probabilities": np.eye(2)[sure] * 0.8 + 0.1}
            trained[name][seed] = Outcome([], COST, valid=found)
    return labels, trained


def test_who_is_far_behind_is_stopped_and_the_reason_says_by_how_much():
    labels, trained = world(np.random.default_rng(0), {"best": 0.95, "near": 0.945, "far": 0.6}, scatter=0.005)
    found = behind(trained, labels, "accuracy", 0.005, 0.004)
    assert set(found) == {"far"}
    assert (found["far"].behind, found["far"].seeds, found["far"].level) == ("best", 3, 0.004)
    assert found["far"].gap == pytest.approx(0.35, abs=0.06)
    assert found["far"].p_within < 0.004


def test_neither_the_order_of_strategies_nor_that_of_seeds_matters():
    labels, trained = world(np.random.default_rng(1), {"a": 0.9, "b": 0.6, "c": 0.88}, scatter=0.01)
    turned = {name: dict(reversed(found.items())) for name, found in reversed(trained.items())}
    assert behind(trained, labels, "accuracy", 0.005, 0.01) == behind(turned, labels, "accuracy", 0.005, 0.01)


def test_with_one_shared_seed_or_one_strategy_nobody_is_stopped():
    labels, trained = world(np.random.default_rng(2), {"a": 0.99, "b": 0.5})
    assert behind({"a": trained["a"]}, labels, "accuracy", 0.005, 0.1) == {}
    few = {"a": {0: trained["a"][0]}, "b": trained["b"]}
    assert behind(few, labels, "accuracy", 0.005, 0.1) == {}


def test_a_seed_that_diverged_does_not_count():
    labels, trained = world(np.random.default_rng(3), {"a": 0.95, "b": 0.5})
    trained["b"][0] = Outcome([], COST, failed="nan")
    assert behind(trained, labels, "accuracy", 0.005, 0.05)["b"].seeds == 2


def test_lower_is_better_of_a_log_loss():
    labels, trained = world(np.random.default_rng(4), {"a": 0.95, "b": 0.5})
    assert set(behind(trained, labels, "log_loss", 0.005, 0.01)) == {"b"}


def test_no_test_image_is_looked_at():
    labels, trained = world(np.random.default_rng(5), {"a": 0.95, "b": 0.5})
    judged = judge_of(labels, "accuracy", 0.005, 0.01)({name: {1.0: found} for name, found in trained.items()})
    assert set(judged) == {"b"}  # of outcomes that hold none


@pytest.mark.parametrize(("strategies", "joint"), [(2, 0.0), (3, 0.7), (8, 0.7)])
def test_hardly_ever_is_one_stopped_that_is_as_good_as_the_best(strategies, joint):
    """At the edge: all are exactly `worth` behind the best, where a strategy is stopped most often by mistake."""
    rng, level, wrong, rounds = np.random.default_rng(6), stopping_level(0.95, strategies, 2), 0, 200
    rates = {"best": 0.85} | {f"s{i}": 0.845 for i in range(1, strategies)}
    for _ in range(rounds):
        labels, trained = world(rng, rates, seeds=4, scatter=0.01, valid=200, joint=joint)
        looks = [{name: dict(list(found.items())[:k]) for name, found in trained.items()} for k in (3, 4)]
        wrong += any(behind(look, labels, "accuracy", 0.005, level) for look in looks)
    assert wrong <= 0.05 * rounds


def test_the_level_is_shared_by_all_pairs_and_looks():
    assert stopping_level(0.95, 3, 2) == pytest.approx(0.05 / 12)
    assert stopping_level(0.95, 1, 0) == pytest.approx(0.05)
