"""How often the interval of a crossing holds the true one, and how often a number is given where there is none.

Curves with known truth are simulated: power laws, and curves that are none. Each point is what seeds times 650 test
images would score, some images harder than others for all, and the luck of a seed shared over training sizes.
Writes crossover.json.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtri

from pipeline.statistics import crossover

ROOT = Path(__file__).resolve().parent.parent
SIZES = np.array([157.0, 394.0, 787.0, 1575.0])
FULL = SIZES[-1]
FINE = np.geomspace(SIZES[0], 100 * FULL, 600)  # where the truth is looked at
RESAMPLES, CONFIDENCE = 600, 0.95
# Shares of what makes an image hard, for all, for one strategy, for one training: so that accuracies of seeds differ by
# about half a point, and a difference of two strategies has a deviation of about one, as on the demo's images.
HARD, OWN, ONCE = 0.6, 0.25, 0.15
LUCK = (
    0.02  # deviation of a seed's shift, shared over sizes; again as much, growing with fewer images, for one training
)
SPREAD = 1.3  # of the log of an image's loss


@dataclass(frozen=True)
class Scenario:
    family: str  # power | logistic | stretched | mixed
    place: str  # inside | beyond | none | equal; soon: beyond, below 3 times the images, and 10 points apart at first
    metric: str = "accuracy"
    seeds: int = 5
    images: int = 650  # in the test split

    @property
    def name(self) -> str:
        return f"{self.family}, {self.place}, {self.metric}, {self.seeds} seeds, {self.images} images"


PLACES = ("inside", "beyond", "none")
SCENARIOS = (
    *(Scenario(family, place) for family in ("power", "logistic", "stretched", "mixed") for place in PLACES),
    *(Scenario("power", place, metric="log_loss") for place in PLACES),
    *(Scenario("mixed", place, seeds=3) for place in PLACES),
    *(Scenario("mixed", place, seeds=1) for place in PLACES),
    *(Scenario("mixed", place, images=5000) for place in PLACES),
    *(Scenario("power", "soon", images=images) for images in (650, 5000)),
    Scenario("power", "equal"),
)


# Truth


def power(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return errors (count, sizes) with an asymptote."""
    level, share, c = (rng.uniform(*ends, (count, 1)) for ends in ((0.05, 0.25), (0, 0.95), (0.15, 1.2)))
    return level * (share + (1 - share) * (FINE / FULL) ** -c)


def logistic(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return errors that fall from one level to another, the faster the nearer to the middle in log n."""
    top, low, steep, middle = (
        rng.uniform(*ends, (count, 1)) for ends in ((0.3, 0.5), (0.02, 0.2), (0.6, 1.8), (4.0, 8.0))
    )
    return low + (top - low) / (1 + np.exp(steep * (np.log(FINE) - middle)))


def stretched(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return errors that fall like an exponential of a power of n (Weibull)."""
    top, low, k, middle = (rng.uniform(*ends, (count, 1)) for ends in ((0.3, 0.7), (0.02, 0.2), (0.3, 0.8), (4.0, 7.0)))
    return low + (top - low) * np.exp(-((FINE / np.exp(middle)) ** k))


FAMILIES = {"power": power, "logistic": logistic, "stretched": stretched}


def crossings(difference: np.ndarray) -> np.ndarray:
    """Return every size at which a difference on FINE changes its sign."""
    at = np.flatnonzero(difference[:-1] * difference[1:] < 0)
    share = difference[at] / (difference[at] - difference[at + 1])
    return np.exp(np.log(FINE[at]) + share * np.log(FINE[1] / FINE[0]))


def belongs(first: np.ndarray, second: np.ndarray, place: str) -> bool:
    """Say whether two curves are ones that people have, and cross once at the place, or not at all up to 10 times."""
    if max(first[0], second[0]) > 0.5 or place == "equal":
        return max(first[0], second[0]) <= 0.5
    reached = crossings(first - second)
    reached = reached[reached < crossover.REACH * FULL]
    if place == "none" or len(reached) != 1:
        return place == "none" and not len(reached)
    if place == "soon":
        return FULL < reached[0] < 3 * FULL and abs(first[0] - second[0]) > 0.1
    return place == ("inside" if reached[0] <= FULL else "beyond")


def truths(scenario: Scenario, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return pairs of curves (count, 2, sizes) of a scenario."""
    found: list[np.ndarray] = []
    while len(found) < count:
        drawn = [_drawn(scenario.family, rng, 200) for _ in "ab"]
        if scenario.place == "equal":
            drawn[1] = drawn[0]
        found.extend(pair for pair in np.stack(drawn, 1) if belongs(*pair, scenario.place))
    return np.stack(found[:count])


def _drawn(family: str, rng: np.random.Generator, count: int) -> np.ndarray:
    if family in FAMILIES:
        return FAMILIES[family](rng, count)
    each = np.stack([draw(rng, count) for draw in FAMILIES.values()])
    return each[rng.integers(0, len(each), count), np.arange(count)]


def at(sizes: np.ndarray, curves_: np.ndarray) -> np.ndarray:
    """Return curves (K, FINE) at some sizes."""
    return np.exp([np.interp(np.log(sizes), np.log(FINE), np.log(curve)) for curve in curves_])


# Measurement


def measured(errors: np.ndarray, scenario: Scenario, rng: np.random.Generator) -> np.ndarray:
    """Return each image's error (images, 2, sizes, seeds), whose mean over all worlds is errors (2, sizes)."""
    images, seeds, sizes = scenario.images, scenario.seeds, len(SIZES)
    hard = (
        np.sqrt(HARD) * rng.standard_normal((images, 1, 1, 1))
        + np.sqrt(OWN) * rng.standard_normal((images, 2, 1, 1))
        + np.sqrt(ONCE) * rng.standard_normal((images, 2, sizes, seeds))
    )
    once = LUCK * np.sqrt(FULL / SIZES)[:, None]
    luck = LUCK * rng.standard_normal((2, 1, seeds)) + once * rng.standard_normal((2, sizes, seeds))
    variance = 1 + LUCK**2 + once**2
    if scenario.metric == "log_loss":
        return errors[:, :, None] * np.exp(SPREAD * (hard + luck) - SPREAD**2 * variance / 2)
    return (hard + luck < ndtri(errors)[:, :, None] * np.sqrt(variance)).astype(np.float64)


class Bootstrap:
    """Resamples of images and seeds, the same for all strategies and sizes."""

    def __init__(self, images: int, seeds: int, rng: np.random.Generator) -> None:
        self.images, self.seeds = (rng.multinomial(n, np.full(n, 1 / n), RESAMPLES) / n for n in (images, seeds))

    def means(self, values: np.ndarray) -> np.ndarray:
        """Return the mean (resamples, 2, sizes) of values (images, 2, sizes, seeds) in each resample."""
        by_seed = (self.images @ values.reshape(len(values), -1)).reshape(RESAMPLES, *values.shape[1:])
        return np.einsum("rkfs,rs->rkf", by_seed, self.seeds)


# Judgement
Row = dict[str, Any]  # what was said of one pair of curves, and whether it is true


def judge(scenario: Scenario, count: int, seed: int) -> list[Row]:
    """Return a row for each of `count` pairs of curves."""
    rng = np.random.default_rng([seed, SCENARIOS.index(scenario)])
    bootstrap = Bootstrap(scenario.images, scenario.seeds, rng)
    return [_row(scenario, pair, bootstrap, rng) for pair in truths(scenario, count, rng)]


def _row(scenario: Scenario, pair: np.ndarray, bootstrap: Bootstrap, rng: np.random.Generator) -> Row:
    errors = at(SIZES, pair)
    draws = bootstrap.means(measured(errors, scenario, rng))
    draws = draws if scenario.metric == "log_loss" else 1 - draws
    found = crossover.crossover("a", "b", SIZES, draws[:, 0], draws[:, 1], scenario.metric, CONFIDENCE)
    real = crossings(pair[0] - pair[1])
    row: Row = {"place": scenario.place, "outcome": found.outcome, "given": found.ci is not None}
    if found.ci is not None:
        low, high = found.ci
        row["covered"] = bool(((low <= real) & (real <= high)).any())  # false where there is none
        row["factor"] = float(np.sqrt(high / low))
    if found.not_before is not None:
        row["bound_held"] = not ((real > FULL) & (real < found.not_before)).any()
    looked = np.array([np.sqrt(SIZES[0] * SIZES[1]), FULL, crossover.REACH * FULL])
    low, _, high = crossover.band(SIZES, draws[:, 0], looked, scenario.metric, CONFIDENCE)
    true = at(looked, pair[:1])[0] if scenario.metric == "log_loss" else 1 - at(looked, pair[:1])[0]
    row["band_between"], row["band_full"], row["band_ten"] = map(bool, (low <= true) & (true <= high))
    return row


def _mean(rows: Sequence[Row], key: str) -> float | None:
    """Return the mean of a key over the rows that have it; None where none has."""
    values = [row[key] for row in rows if key in row]
    return float(np.mean(values)) if values else None


def _outcome(rows: Sequence[Row], outcome: str) -> float | None:
    return _mean([{"said": row["outcome"] == outcome} for row in rows], "said")


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the shares of one scenario."""
    return {
        "outcomes": {name: _outcome(rows, name) for name in ("inside", "beyond", "never", "unclear")},
        "given": sum(row["given"] for row in rows),
        "covered": _mean(rows, "covered"),
        "median_factor": float(np.median(factors)) if (factors := [r["factor"] for r in rows if r["given"]]) else None,
        "bound_held": _mean(rows, "bound_held"),
        **{key: _mean(rows, key) for key in ("band_between", "band_full", "band_ten")},
    }


def run(count: int, seed: int, scenarios: Sequence[Scenario] = SCENARIOS) -> dict[str, Any]:
    """Simulate `count` pairs of curves for each scenario; return shares over all of them and for each.

    `crossover_coverage` is the share of the intervals given that hold a true crossing; one given where there is none
    counts as a miss. Keys that end in a place are of the scenarios whose curves cross there.
    """
    rows = {scenario: judge(scenario, count, seed) for scenario in scenarios}
    every = [row for each in rows.values() for row in each]
    of = {place: [row for row in every if row["place"] == place] for place in (*PLACES, "soon", "equal")}
    beyond = [row for row in every if row["outcome"] == "beyond"]
    return {
        "crossover_coverage": _mean(every, "covered"),
        "crossover_given": sum(row["given"] for row in every),
        "crossover_coverage_beyond": _mean(beyond, "covered"),
        "crossover_given_as_beyond": len(beyond),
        "crossover_given_inside": _mean(of["inside"], "given"),
        "crossover_given_beyond": _mean(of["beyond"], "given"),
        "crossover_given_soon": _mean(of["soon"], "given"),
        "crossover_wrongly_given_none": _mean(of["none"], "given"),
        "crossover_wrongly_given_equal": _mean(of["equal"], "given"),
        "crossover_never_none": _outcome(of["none"], "never"),
        "crossover_wrongly_never_beyond": _outcome(of["beyond"], "never"),
        "crossover_wrongly_never_equal": _outcome(of["equal"], "never"),
        "crossover_bound_held": _mean(every, "bound_held"),
        "curve_coverage": {key: _mean(every, key) for key in ("band_between", "band_full", "band_ten")},
        "crossover_curves": len(every),
        "crossover_scenarios": {scenario.name: summary(each) for scenario, each in rows.items()},
    }
