import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.statistics.power_law import Law, Mixture, Points, likeliest, posterior

SIZES = np.array([157.0, 394.0, 787.0, 1575.0])


def points(*laws, deviation=0.005, sizes=SIZES):
    errors = np.stack([law.at(sizes) for law in laws])
    return Points(sizes, errors, np.eye(errors.size) * deviation**2)


def test_a_law_falls_to_its_asymptote():
    assert Law(0.1, 2.0, 0.5).at(np.array([1, 4, 1e12])) == pytest.approx([2.1, 1.1, 0.1], abs=1e-5)


@given(a=st.floats(0, 0.2), b=st.floats(0.5, 5), c=st.floats(0.1, 1.5))
@settings(max_examples=40)
def test_the_likeliest_law_goes_through_points_without_noise(a, b, c):
    law = Law(a, b, c)
    found = likeliest(points(law, deviation=0.0005))
    assert found.at(SIZES) == pytest.approx(law.at(SIZES), rel=0.03, abs=0.001)
    assert found.a >= 0
    assert found.b >= 0


@given(a=st.floats(0.05, 0.2), b=st.floats(0.5, 5), c=st.floats(0.1, 1.5))
@settings(max_examples=40)
def test_the_posterior_holds_the_law_at_the_points_and_doubts_more_the_farther_away(a, b, c):
    law, looked = Law(a, b, c), np.append(SIZES, [3150, 6300, 15750])
    found = posterior(points(law), looked)
    low, high = found.quantile(0.025), found.quantile(0.975)
    assert ((low < law.at(looked)) & (law.at(looked) < high)).all()
    assert (np.diff((high - low)[3:]) > 0).all()


def test_the_difference_of_a_law_with_itself_is_centred_on_zero():
    law = Law(0.05, 1.0, 0.4)
    assert posterior(points(law, law), np.append(SIZES, 15750)).below(0) == pytest.approx(np.full(5, 0.5))


def test_noise_that_two_strategies_share_leaves_their_difference_known():
    apart = points(Law(0.05, 1.0, 0.4), Law(0.06, 1.0, 0.4), deviation=0.02)
    shared = np.kron(np.array([[1, 0.99], [0.99, 1]]), np.eye(4)) * 0.02**2
    paired = Points(SIZES, apart.errors, shared)
    width = [np.ptp([posterior(p, SIZES).quantile(q)[-1] for q in (0.025, 0.975)]) for p in (paired, apart)]
    assert width[0] < width[1] / 2


def test_points_that_follow_no_law_widen_the_band():
    law = Law(0.05, 1.0, 0.4)
    straight = points(law, deviation=0.002)
    bent = Points(SIZES, straight.errors * [1, 1.15, 0.87, 1], straight.covariance)
    wide, narrow = (
        np.ptp([posterior(p, SIZES[-1:] * 4).quantile(q) for q in (0.025, 0.975)]) for p in (bent, straight)
    )
    assert wide > 1.3 * narrow


def test_quantiles_are_where_the_probability_below_them_says():
    mixture = Mixture(np.array([[0.0, 1.0], [3.0, 1.0]]), np.array([[1.0, 0.1], [0.5, 2.0]]), np.array([0.3, 0.7]))
    for q in (0.025, 0.5, 0.9):
        assert mixture.below(mixture.quantile(q)) == pytest.approx([q, q])


def test_fewer_images_than_were_measured_are_refused():
    with pytest.raises(AssertionError, match="fewer images"):
        posterior(points(Law(0.05, 1.0, 0.4)), np.array([100.0]))
