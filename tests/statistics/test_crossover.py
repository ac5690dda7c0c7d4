import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import crossover as simulation
from benchmarks.crossover import Scenario
from pipeline.statistics.crossover import _Crossing, band, crossover, fit

SIZES = np.array([157, 394, 787, 1575])
FLAT, STEEP = (0.05, 0.8, 0.35), (0.0, 6.0, 0.55)  # they cross at 1,340 images


def law(a, b, c, sizes=SIZES):
    return a + b * np.asarray(sizes, dtype=float) ** -c


def draws(*errors, deviation=0.006, seed=0, count=500):
    """Return draws (count, F) of accuracy for each row of errors, half of whose noise is shared."""
    rng = np.random.default_rng(seed)
    shared = rng.standard_normal((count, 1))
    return [1 - e - deviation * (shared + rng.standard_normal((count, len(e)))) / np.sqrt(2) for e in errors]


def crossed(first, second, names=("flat", "steep"), metric="accuracy", confidence=0.95, sizes=SIZES, **noise):
    return crossover(*names, sizes, *draws(first, second, **noise), metric, confidence)


def test_a_crossing_between_the_points_is_found():
    found = crossed(law(*FLAT), law(*STEEP))
    low, high = found.ci
    assert (found.outcome, low < 1340 < high) == ("inside", True)
    assert found.images == pytest.approx(1340, rel=0.1)
    assert (found.overtaker, found.crossings) == ("steep", 1)


def test_a_crossing_soon_after_the_points_is_found():
    found = crossed(law(0.2, 0, 1), law(0, 20, 0.6), deviation=0.001)  # at 2,154 images
    low, high = found.ci
    assert (found.outcome, found.leader, low < 2154 < high) == ("beyond", "flat", True)
    assert found.overtaker == "steep"


def test_the_one_far_behind_that_learns_as_slowly_never_catches_up():
    found = crossed(law(0.02, 0.2, 0.3), law(0.25, 0.2, 0.3))
    assert (found.outcome, found.leader, found.images, found.ci) == ("never", "flat", None, None)
    assert (found.overtaker, found.not_before) == (None, None)


def test_one_behind_that_learns_faster_may_catch_up_but_not_at_once():
    found = crossed(law(0.05, 0.3, 0.3), law(0.02, 2, 0.4))
    assert (found.outcome, found.leader, found.images) == ("unclear", "flat", None)
    assert 1575 < found.not_before < 15750


def test_the_more_confidence_the_sooner_the_lead_may_be_lost():
    bounds = [crossed(law(0.05, 0.3, 0.3), law(0.02, 2, 0.4), confidence=c).not_before for c in (0.8, 0.9, 0.95)]
    assert bounds[0] > bounds[1] > bounds[2]


def test_a_crossing_whose_interval_is_mostly_too_far_is_not_given():
    assert _Crossing(5000, 14000, 40000, True).most_below(15000)
    assert not _Crossing(8000, 14000, 40000, True).most_below(15000)
    assert not _Crossing(5000, 16000, 40000, True).most_below(15000)


def test_of_curves_within_noise_of_each_other_no_crossing_is_given():
    found = crossed(law(0.1, 0.8, 0.35), law(0.102, 0.79, 0.35))
    assert (found.outcome, found.leader, found.images) == ("unclear", None, None)
    assert (found.crossings, found.not_before) == (0, None)


@pytest.mark.parametrize("error", [law(*FLAT), np.zeros(4), np.full(4, 0.5), np.ones(4)])
@pytest.mark.parametrize("deviation", [0.0, 0.01])
def test_a_strategy_does_not_cross_itself(error, deviation):
    same = draws(error, deviation=deviation)[0]
    found = crossover("a", "b", SIZES, same, same, "accuracy", 0.95)
    assert (found.outcome, found.leader, found.images) == ("unclear", None, None)


def test_a_perfect_strategy_leads():
    found = crossed(np.zeros(4), np.full(4, 0.3), deviation=0.0)
    assert (found.outcome, found.leader) == ("never", "flat")


def test_of_several_crossings_the_one_nearest_to_all_images_is_given():
    found = crossed(np.array([0.5, 0.2, 0.2, 0.1]), np.array([0.3, 0.3, 0.1, 0.2]), deviation=0.001)
    assert found.outcome == "inside"
    assert 787 < found.images < 1575  # the last of three
    assert found.crossings == 3


def test_one_size_makes_no_curve():
    found = crossed(np.array([0.1]), np.array([0.2]), sizes=[1575])
    assert (found.outcome, found.images) == ("unclear", None)
    assert fit(np.array([1575]), draws(np.array([0.1]))[0], "accuracy") is None
    assert band(np.array([1575]), draws(np.array([0.1]))[0], np.array([1575]), "accuracy", 0.95) is None


def test_two_sizes_show_a_crossing_between_them_alone():
    first, second = np.array([0.2, 0.15]), np.array([0.4, 0.1])
    assert crossed(first, second, sizes=[157, 1575]).outcome == "inside"
    assert crossed(first, second + 0.06, sizes=[157, 1575]).outcome == "unclear"


def test_resamples_without_a_score_are_left_out():
    a, b = draws(law(*FLAT), law(*STEEP))
    holed = a.copy()
    holed[::5, 2] = np.nan
    kept = np.isfinite(holed).all(1)
    found = crossover("a", "b", SIZES, holed, b, "accuracy", 0.95)
    assert found.ci == crossover("a", "b", SIZES, a[kept], b[kept], "accuracy", 0.95).ci
    nothing = crossover("a", "b", SIZES, np.full_like(a, np.nan), b, "accuracy", 0.95)
    assert (nothing.outcome, nothing.leader, nothing.images) == ("unclear", None, None)


def test_lower_is_better_where_the_metric_says_so():
    a, b = draws(law(*FLAT), law(*STEEP))
    there, back = (
        crossover("a", "b", SIZES, a, b, "accuracy", 0.95),
        crossover("a", "b", SIZES, 1 - a, 1 - b, "log_loss", 0.95),
    )
    assert there == back == crossover("a", "b", SIZES, a, b, "roc_auc", 0.95)
    up, down = band(SIZES, a, SIZES, "accuracy", 0.95), band(SIZES, 1 - a, SIZES, "log_loss", 0.95)
    assert np.allclose(np.subtract(1, up[::-1]), down)
    assert fit(SIZES, a, "accuracy") == fit(SIZES, 1 - a, "log_loss")


def test_more_confidence_makes_a_longer_interval():
    lengths = [np.subtract(*crossed(law(*FLAT), law(*STEEP), confidence=c).ci) for c in (0.5, 0.8, 0.95)]
    assert lengths[0] > lengths[1] > lengths[2]  # low less high


errors = st.lists(st.floats(0, 1), min_size=4, max_size=4).map(np.array)


@settings(max_examples=25)
@given(errors, errors, st.sampled_from([0.0, 0.003, 0.03]))
def test_the_order_of_two_strategies_does_not_matter(first, second, deviation):
    one, other = draws(first, second, deviation=deviation)
    found = crossover("a", "b", SIZES, one, other, "accuracy", 0.95)
    assert crossover("b", "a", SIZES, other, one, "accuracy", 0.95) == found
    renamed = crossover("a", "b", SIZES, other, one, "accuracy", 0.95)
    assert renamed.leader == {"a": "b", "b": "a", None: None}[found.leader]
    assert renamed.outcome == found.outcome
    assert renamed.overtaker == {"a": "b", "b": "a", None: None}[found.overtaker]
    for one, other in ((renamed.images, found.images), (renamed.ci, found.ci), (renamed.not_before, found.not_before)):
        assert one == (None if other is None else pytest.approx(other, rel=1e-5))


@settings(max_examples=25)
@given(errors, errors, st.sampled_from([0.0, 0.003, 0.03]))
def test_numbers_and_outcomes_fit_together(first, second, deviation):
    found = crossed(first, second, deviation=deviation)
    json.dumps(found.model_dump(), allow_nan=False)
    assert (found.images is None) == (found.ci is None) == (found.outcome in ("never", "unclear"))
    assert (found.overtaker is None) == (found.crossings == 0) == (found.images is None)
    if found.images is not None:
        low, high = found.ci
        assert 157 <= low <= found.images <= high
        assert found.images <= 15750
        assert found.outcome == ("inside" if found.images <= 1575 else "beyond")


def test_a_band_holds_the_points_and_widens_beyond_them():
    scores = draws(law(*STEEP))[0]
    low, middle, high = band(SIZES, scores, np.append(SIZES, [4000, 15750]), "accuracy", 0.95)
    assert middle[:4] == pytest.approx(scores.mean(0), abs=0.005)
    assert (low < middle).all()
    assert (middle < high).all()
    assert (high <= 1).all()
    assert high[3] - low[3] < high[4] - low[4] < high[5] - low[5]


def test_intervals_hold_the_truth_and_no_number_is_given_where_there_is_none():
    scenarios = [Scenario("power", "inside"), Scenario("mixed", "inside"), Scenario("logistic", "none"),
                 Scenario("power", "equal")]  # fmt: skip
    found = simulation.run(20, 5, scenarios)
    assert found["crossover_given"] >= 12
    assert found["crossover_coverage"] >= 0.85  # 0.95 is meant, of 20 or so intervals
    assert found["crossover_given_inside"] >= 0.3
    assert found["crossover_wrongly_given_none"] <= 0.07
    assert found["crossover_wrongly_given_equal"] <= 0.07
    assert all(share >= 0.85 for share in found["curve_coverage"].values())
