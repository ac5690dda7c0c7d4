import numpy as np
import pytest
from scipy.stats import t

from pipeline.config.metric_names import METRICS
from pipeline.statistics.noninferiority import is_not_worse, paired_differences


def answers(labels, wrong, rng=None):
    """Return probabilities (N, 2) that are right but for some rows."""
    sure = np.full(len(labels), 0.9) if rng is None else rng.uniform(0.6, 0.99, len(labels))
    right = ~np.isin(np.arange(len(labels)), wrong)
    first = np.where((labels == 0) == right, sure, 1 - sure)
    return np.stack([first, 1 - first], 1)


def accuracy(labels, a, b, confidence=0.95):
    return next(d for d in paired_differences(labels, a, b, confidence) if d.metric == "accuracy")


LABELS = np.arange(200) % 2


def test_the_bound_of_an_accuracy_is_that_of_a_paired_t_test():
    found = accuracy(LABELS, answers(LABELS, range(10)), answers(LABELS, range(6, 20)))
    gaps = np.zeros(200)
    gaps[:6], gaps[10:20] = -1, 1
    error = gaps.std(ddof=1) / np.sqrt(200)
    assert (found.a, found.b, found.images) == (0.95, 0.93, 200)
    assert found.difference == found.gain == pytest.approx(0.02)
    assert found.worst == pytest.approx(0.02 - t.ppf(0.95, 199) * error)
    assert found.ci == pytest.approx((0.02 - t.ppf(0.975, 199) * error, 0.02 + t.ppf(0.975, 199) * error))


def test_every_metric_is_compared_and_of_a_loss_less_is_a_gain():
    rng = np.random.default_rng(0)
    found = {d.metric: d for d in paired_differences(LABELS, answers(LABELS, [], rng), answers(LABELS, range(40)), 0.9)}
    assert set(found) == set(METRICS)
    assert found["log_loss"].difference < 0 < found["log_loss"].gain
    assert all(d.worst < d.gain for d in found.values())


def test_networks_that_decide_alike_are_not_worse_and_one_that_is_clearly_worse_is():
    same = accuracy(LABELS, answers(LABELS, [3]), answers(LABELS, [3]))
    assert (same.worst, same.ci) == (0, (0, 0))
    assert is_not_worse(same, 0.001)
    assert not is_not_worse(accuracy(LABELS, answers(LABELS, range(30)), answers(LABELS, [])), 0.02)


def test_one_that_is_worse_by_the_margin_passes_as_rarely_as_the_confidence_says():
    rng, passed, rounds = np.random.default_rng(1), 0, 2000
    for _ in range(rounds):
        draw = rng.random((650, 1))
        labels = np.zeros(650, dtype=int)
        wrong_a, wrong_b = np.flatnonzero(draw < 0.06), np.flatnonzero((draw > 0.04) & (draw < 0.08))
        a, b = answers(labels, wrong_a), answers(labels, wrong_b)
        passed += is_not_worse(accuracy(labels, a, b), 0.02)
    assert 0.03 < passed / rounds < 0.07
