import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, false_discovery_control, norm, t

from benchmarks import coverage, power
from benchmarks.simulation import World, correlation, fitted, with_share
from pipeline.statistics.intervals import difference_interval, draws, estimate, holm, run_chance, runs, score_interval
from pipeline.statistics.jackknife import InfluenceTable, Scored, influence_tables, mean_influence_table

DEMO = World(levels=(1.17, 1.10, 0.96), shared=0.86, own=0.12, positives=0.69)  # as benchmarks.power finds it


def table(values):
    """The table of a mean of values (S, N)."""
    values = np.asarray(values, dtype=float)
    return mean_influence_table(values, np.ones(values.shape[-1], dtype=bool))


def crossed(rng, seed, image, rest, seeds, images, count=1):
    """Values (count, S, N) of which the parts deviate so much."""
    shape = (count, seeds, images)
    parts = (seed, (count, seeds, 1)), (image, (count, 1, images)), (rest, shape)
    return sum(size * rng.normal(size=each) for size, each in parts) + np.zeros(shape)


# The variance


@pytest.mark.parametrize("parts", [(1.0, 0.0, 0.0), (0.0, 3.0, 0.0), (0.0, 3.0, 3.0), (0.5, 3.0, 4.0)])
def test_each_part_of_the_noise_counts_once(parts):
    seeds, images = 4, 20
    found = estimate(table(crossed(np.random.default_rng(0), *parts, seeds, images, 4000)))
    seed, image, rest = np.square(parts)
    wanted = seed / seeds + image / images + rest / (seeds * images)
    assert wanted * 0.95 < found.variance.mean() < wanted * 1.08  # it is never less than that of the images alone
    assert found.mean.var() == pytest.approx(wanted, rel=0.1)


def test_noise_without_any_effect_of_images_is_not_made_too_small():
    found = estimate(table(crossed(np.random.default_rng(0), 0, 0, 3.0, 4, 20, 4000)))
    assert 1 <= found.variance.mean() / (9 / 80) < 1.4


def test_the_variance_is_that_of_the_mean_squares():
    values = crossed(np.random.default_rng(0), 0.3, 1.0, 1.0, 3, 12)[0]
    seeds, images = values.shape
    by_seed, by_image = images * values.mean(1).var(ddof=1), seeds * values.mean(0).var(ddof=1)
    rest = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
    within = (rest**2).sum() / ((seeds - 1) * (images - 1))
    assert estimate(table(values)).variance == pytest.approx((by_seed + by_image - within) / values.size)


def test_with_one_seed_the_interval_is_that_of_its_images():
    values = np.random.default_rng(0).normal(1, 2, (1, 30))
    found = estimate(table(values))
    low, high = difference_interval(found, 0.95)
    half = t.ppf(0.975, 29) * values.std(ddof=1) / np.sqrt(30)
    assert (low, high) == (pytest.approx(values.mean() - half), pytest.approx(values.mean() + half))


def test_equal_seeds_are_worth_one():
    values = np.random.default_rng(0).normal(size=(1, 30))
    one, five = (estimate(table(np.repeat(values, count, 0))) for count in (1, 5))
    assert five.variance == pytest.approx(one.variance)
    assert difference_interval(five, 0.95) == pytest.approx(difference_interval(one, 0.95))


@given(seed=st.integers(0, 1000), seeds=st.integers(2, 5), images=st.integers(4, 60), apart=st.booleans())
def test_what_the_images_leave_open_remains_where_seeds_agree_by_chance(seed, seeds, images, apart):
    rng = np.random.default_rng(seed)
    values = rng.permuted(np.tile(rng.integers(0, 2, images).astype(float), (seeds, 1)), axis=1)  # equal means
    whole = table(values)
    if apart:  # each seed on images of its own
        influence = np.zeros((seeds, seeds * images))
        for row, own in enumerate(whole.influence):
            influence[row, row * images : (row + 1) * images] = own
        whole = InfluenceTable(whole.scores, influence, images)
    found = estimate(whole)
    assert found.variance >= (whole.influence.mean(0) ** 2).sum()
    if apart and values.var() > 0:
        low, high = difference_interval(found, 0.95)
        assert low < found.mean < high


def test_where_seeds_alone_differ_the_interval_is_students():
    scores = np.array([0.1, 0.4, 0.2])
    low, high = difference_interval(estimate(table(np.repeat(scores[:, None], 10, 1))), 0.95)
    half = t.ppf(0.975, 2) * scores.std(ddof=1) / np.sqrt(3)
    assert (high - low) / 2 == pytest.approx(half)


def test_validation_images_that_seeds_share_count_as_shared():
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    own = rng.dirichlet([1, 1], 200)
    ids = np.arange(200)
    same = Scored([labels] * 2, [own] * 2, [ids] * 2)
    apart = Scored([labels] * 2, [own] * 2, [ids, ids + 200])
    shared, separate, plain = (
        estimate(influence_tables(each)["accuracy"]).variance for each in (same, apart, Scored([labels] * 2, [own] * 2))
    )
    assert shared == pytest.approx(plain)
    assert separate == pytest.approx(shared / 2)


# Intervals and p-values


@pytest.mark.parametrize("images", [1, 10, 400])
def test_at_100_percent_the_interval_goes_as_far_down_as_the_images_allow(images):
    low, high = score_interval(estimate(table(np.ones((3, images)))), "accuracy", 0.95)
    assert high == 1
    assert 0.005 < binom.pmf(images, images, low) < 0.05


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 5]), st.sampled_from([2, 20]))
def test_intervals_hold_the_score_and_stay_where_scores_can_be(seed, seeds, images):
    rng = np.random.default_rng(seed)
    right = table(rng.random((seeds, images)) < rng.random())
    losses = table(rng.exponential(size=(seeds, images)))
    for metric, found, most in (("accuracy", right, 1), ("roc_auc", right, 1), ("log_loss", losses, np.inf)):
        estimated = estimate(found)
        low, high = score_interval(estimated, metric, 0.95)
        assert 0 <= low <= estimated.mean <= high <= most


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 5]), st.floats(-1, 1))
def test_the_interval_leaves_out_0_where_the_p_value_says_so(seed, seeds, shift):
    found = estimate(table(crossed(np.random.default_rng(seed), 0.3, 1, 1, seeds, 20)[0] + shift))
    low, high = difference_interval(found, 0.95)
    assert (found.p_value() < 0.05) == (not low <= 0 <= high)
    assert found.p_value() == pytest.approx(2 * min(found.chance_above(), 1 - found.chance_above()))


@pytest.mark.parametrize(("value", "chance", "p"), [(0.0, 0.5, 1.0), (0.25, 1.0, 0.0), (-0.25, 0.0, 0.0)])
def test_differences_that_never_vary_are_sure(value, chance, p):
    found = estimate(table(np.full((3, 4), value)))
    assert (found.chance_above(), found.p_value()) == (chance, p)
    assert difference_interval(found, 0.95) == (value, value)


def test_holm_is_as_in_the_book():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.randoms())
def test_holm_keeps_the_order_and_does_not_depend_on_it(values, random):
    places = random.sample(range(len(values)), len(values))
    adjusted = holm(values)
    assert holm([values[i] for i in places]) == [adjusted[i] for i in places]
    assert all(value <= each <= 1 for value, each in zip(values, adjusted))
    assert sorted(adjusted) == [adjusted[i] for i in sorted(range(len(values)), key=values.__getitem__)]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_is_between_no_correction_and_bonferroni_and_not_laxer_than_hochbergs_rate(p):
    adjusted = holm(p)
    assert all(a <= b <= min(1, len(p) * a) + 1e-12 for a, b in zip(p, adjusted))
    assert all(a >= b - 1e-12 for a, b in zip(adjusted, false_discovery_control(p)))


# Draws


def test_draws_scatter_as_the_estimate_says():
    found = table(crossed(np.random.default_rng(1), 0.5, 2, 1, 5, 50)[0])
    drawn = draws({0: found}, 20_000, 0)[0]
    estimated = estimate(found)
    assert drawn.mean() == pytest.approx(estimated.mean, abs=0.02)
    low, high = difference_interval(estimated, 0.95)
    assert np.quantile(drawn, [0.025, 0.975]) == pytest.approx([low, high], abs=0.06 * (high - low))


def test_draws_are_paired_over_images_and_seeds():
    values = crossed(np.random.default_rng(1), 0.5, 2, 1, 5, 50)[0]
    found = draws({"a": table(values), "b": table(values + 3), "few": table(values[:3])}, 500, 0)
    assert found["b"] - found["a"] == pytest.approx(np.full(500, 3.0))
    assert np.corrcoef(found["a"], found["few"])[0, 1] > 0.5  # over images alone


@pytest.mark.parametrize("function", [draws, runs])
@pytest.mark.parametrize("images", [7, 201, 656])  # an odd number: rows of a matrix start at any address
def test_what_is_drawn_is_the_same_to_the_bit_whatever_is_drawn_beside_and_in_any_order(function, images):
    found = {n: table(crossed(np.random.default_rng(n), 0.5, 2, 1, 2 + n % 3, images)[0]) for n in range(13)}
    found[13] = found[0]  # a last column, and equal to the first
    together = function(found, 300, 0)
    assert (together[13] == together[0]).all()
    for names in ([0], [5, 0], list(reversed(found)), range(0, 14, 3)):
        for name, drawn in function({n: found[n] for n in names}, 300, 0).items():
            assert (drawn == together[name]).all()


@pytest.mark.parametrize("function", [draws, runs])
def test_what_is_drawn_follows_from_the_seed_and_not_from_the_memory_there_is(function, monkeypatch):
    one = table(crossed(np.random.default_rng(1), 0.5, 2, 1, 3, 50)[0])
    drawn = function({"one": one}, 100, 0)["one"]
    assert (drawn == function({"one": one}, 100, 0)["one"]).all()
    assert (drawn != function({"one": one}, 100, 1)["one"]).any()
    monkeypatch.setattr("pipeline.statistics.intervals.MOST_WEIGHTS", 120)  # drawn in 50 parts of two
    assert drawn == pytest.approx(function({"one": one}, 100, 0)["one"])


def test_one_seed_or_equal_seeds_are_drawn_by_images_alone():
    values = np.random.default_rng(0).normal(size=(1, 40))
    for count in (1, 3):
        drawn = draws({0: table(np.repeat(values, count, 0))}, 4000, 0)[0]
        assert drawn.std() == pytest.approx(values.std(ddof=1) / np.sqrt(40), rel=0.05)


def test_one_run_beats_another_as_often_as_it_does():
    base = np.random.default_rng(0).normal(size=(4, 30))
    better = base + np.array([[1.0], [1.0], [1.0], [-1.0]])
    found = runs({"a": table(better), "b": table(base)}, 200, 0)
    assert found["a"].shape == (200, 4)
    assert run_chance(found["a"], found["b"]) == 0.75
    assert run_chance(found["b"], found["a"]) == 0.25
    assert run_chance(found["a"], found["a"]) == 0.5


# What the simulations say (benchmarks/statistics.py has them in full)


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("share", [0.05, 0.4, 0.75])
def test_intervals_hold_the_truth_as_often_as_they_say(seeds, share):
    world = with_share(coverage.WORLD, share, seeds, 200)
    held = coverage.cell(world, np.random.default_rng(0), 1000, seeds, 200)
    noise = 3 * np.sqrt(0.05 * 0.95 / 1000)
    assert min(held.values()) > 0.93 - noise
    assert np.mean(list(held.values())) == pytest.approx(0.955, abs=0.015 + noise)


def test_percentiles_of_the_plain_bootstrap_would_not():
    plain = coverage.percentiles(np.random.default_rng(0), 200, images=100, resamples=200)
    assert min(cell["coverage"] for cell in plain if cell["seeds"] == 3) < 0.9


def test_strategies_that_are_the_same_rarely_differ_significantly():
    found = power.alike(DEMO, 1.1, 100, seed=0, images=200)
    assert max(found["by_metric"].values()) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 100)


def test_a_difference_is_significant_the_more_often_the_larger_it_is_and_the_more_images_there_are():
    def rate(gap, images):
        return power._rates(DEMO, gap, np.random.default_rng(0), 100, 5, images)["of_three"]

    assert rate(0.0, 650) <= 0.1
    assert rate(0.02, 325) < rate(0.02, 1300) < rate(0.06, 1300)
    assert rate(0.06, 1300) > 0.95


def test_images_that_one_seed_predicts_make_a_difference_significant_more_often_and_no_false_one():
    def rate(gap, unseen):
        return power._rates(DEMO, gap, np.random.default_rng(0), 200, 5, 650, unseen)["of_three"]

    assert rate(0.02, 1575) > rate(0.02, 0) + 0.2
    assert rate(0.0, 1575) <= 0.05


def test_a_world_is_fitted_to_answers_that_it_made():
    margins = DEMO.margins(np.random.default_rng(0), 1, 4, 20_000)[0]
    found = fitted(list(margins > 0), 0.69)
    assert found.levels == pytest.approx(DEMO.levels, abs=0.03)
    assert (found.shared, found.own) == (pytest.approx(0.86, abs=0.02), pytest.approx(0.12, abs=0.02))
    assert correlation(0.5, 0.5, 1 / 3) == pytest.approx(0.5, abs=1e-3)
    assert norm.cdf(found.levels[0]) == pytest.approx(DEMO.truth()["accuracy"][0], abs=0.01)


def test_a_table_of_differences_is_paired():
    a, b = (table(crossed(np.random.default_rng(i), 0.5, 2, 1, 3, 50)[0]) for i in (1, 2))
    both = a - b
    assert isinstance(both, InfluenceTable)
    assert both.scores == pytest.approx(a.scores - b.scores)
    assert estimate(a - a).variance == 0
