import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.statistics.posterior import Estimates, posterior


def measured(means, error=0.01, seeds=0.0):
    count = len(means)
    names = tuple(f"s{i:02}" for i in range(count))
    return Estimates(names, np.array(means), np.eye(count) * error**2, np.eye(count) * seeds**2)


def believed(means, costs=None, error=0.01, **more):
    return posterior(measured(means, error, **more), costs or [1.0] * len(means), 0.1)


def test_a_difference_within_the_noise_shrinks_and_a_large_one_hardly_does():
    assert 0 < believed([0.905, 0.9]).expected("s00", "s01") < 0.003
    assert believed([0.95, 0.85], [2.0, 1.0]).expected("s00", "s01") == pytest.approx(0.1, rel=0.05)


def test_of_many_equals_nobody_is_much_better():
    rng = np.random.default_rng(0)
    means = (0.9 + rng.normal(0, 0.01, 20)).tolist()
    best, other = f"s{int(np.argmax(means)):02}", f"s{int(np.argsort(means)[10]):02}"
    many = believed(means)
    two = posterior(measured(means).among([best, other]), [1.0, 1.0], 0.1)
    assert many.expected(best, other) < 0.6 * two.expected(best, other)


def test_a_loss_against_two_is_that_of_the_closed_form_and_probabilities_agree():
    found = believed([0.9, 0.91])
    mean, deviation = found.mean[:, 1, 0], found.deviation[:, 1, 0]
    rng = np.random.default_rng(1)
    drawn = mean[:, None] + deviation[:, None] * rng.normal(size=(len(mean), 20000))
    assert found.loss("s00") == pytest.approx(found.weight @ np.maximum(drawn, 0).mean(1), rel=0.03)
    assert found.p_above("s01", "s00") == pytest.approx(found.weight @ (drawn > 0).mean(1), abs=0.01)
    most = found.loss_at_most("s00", 0.9)
    assert found.weight @ (drawn <= most).mean(1) == pytest.approx(0.9, abs=0.01)


def test_the_bound_of_a_loss_is_wider_with_more_confidence_and_none_for_whoever_is_best_for_certain():
    found = believed([0.9, 0.91, 0.905])
    assert found.loss_at_most("s00", 0.99) > found.loss_at_most("s00", 0.8) > found.loss("s00")
    assert believed([0.9, 0.7]).loss_at_most("s00", 0.95) == 0
    assert believed([0.9]).loss_at_most("s00", 0.95) == believed([0.9]).loss("s00") == 0


def test_equal_scores_without_noise_are_a_tie():
    found = believed([0.9, 0.9], error=0.0)
    assert (found.p_above("s00", "s01"), found.loss("s00")) == pytest.approx((0.5, 0), abs=1e-12)


def test_what_is_believed_changes_little_with_one_test_image_more_or_less():
    """One of 2,600 images is right in place of wrong."""
    for gap in np.linspace(0, 0.03, 31):
        before, after = (believed([0.9, 0.9 + each], error=0.0055 / 2**0.5).p_above("s01", "s00")
                         for each in (gap, gap + 1 / 2600))  # fmt: skip
        assert abs(after - before) < 0.03


def test_the_say_of_a_dominated_strategy_fades_without_a_jump():
    losses = [believed([0.9, 0.905, 0.9 - gap], [1.0, 2.0, 3.0]).loss("s00") for gap in np.linspace(0, 0.06, 241)]
    assert np.abs(np.diff(losses)).max() < 2e-4
    apart = believed([0.9, 0.905], [1.0, 2.0]).loss("s00")
    assert losses[-1] == pytest.approx(apart, abs=1e-12)


@given(st.lists(st.floats(0.7, 0.95), min_size=1, max_size=6), st.floats(1e-3, 0.03), st.randoms())
def test_the_order_of_strategies_does_not_matter(means, error, random):
    order = list(range(len(means)))
    random.shuffle(order)
    found = posterior(measured(means, error), [1.0 + i for i in range(len(means))], 0.1)
    names = [found.names[i] for i in order]
    turned = posterior(measured(means, error).among(names), [1.0 + i for i in order], 0.1)
    for name in names:
        assert turned.loss(name) == pytest.approx(found.loss(name), abs=1e-10)


def test_more_images_or_seeds_narrow_their_own_part():
    found = measured([0.9, 0.8], error=0.01, seeds=0.02)
    assert found.variance[0, 1] == pytest.approx(2 * (1e-4 + 4e-4))
    assert found.with_more(images=4, seeds=2).variance[0, 1] == pytest.approx(2 * (1e-4 / 4 + 4e-4 / 2))
