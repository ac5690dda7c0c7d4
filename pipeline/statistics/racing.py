"""Who is behind beyond doubt, while trainings are still being given out: decided on validation alone.

Seeds split train and valid each in its own way, the same for all strategies, so two strategies are compared on the same
images, seed by seed. The test images have no say: they are opened to score, never to choose.

The variance of a difference over new images is known well, since there are many; over new seeds it is known badly, with
three of them. What all pairs scatter from seed to seed is therefore set against what their images alone make them
scatter: this ratio, where it is above 1, widens all variances (a dispersion factor: McCullagh and Nelder 1989, pooled
over pairs), and the whole deviation is taken for Student's t with the degrees of freedom of that ratio,
(strategies - 1) (seeds - 1), though only a part of the variance is that uncertain.

A strategy is stopped where the probability that it is within `worth` of another is below a level: one minus the
confidence, over the number of ordered pairs and of the times it is asked (Bonferroni, so whatever the dependence
between them). So over a whole race, the probability to stop any strategy that is within `worth` of the best is below
one minus the confidence. It is less in truth: looks and pairs go together, and the part of the variance that comes from
images has thinner tails than are assumed.

Validation is somewhat kind to strategies whose search tried more recipes. A stopped strategy loses only precision: it
keeps its minimum, is scored on test like the others, and can still be recommended.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from scipy.special import stdtr

from pipeline.common.outcome import Outcome
from pipeline.config.metric_names import LOWER_IS_BETTER
from pipeline.statistics.jackknife import InfluenceTable, Scored, influence_tables
from pipeline.statistics.missing import Stopped

Judge = Callable[[Mapping[str, Mapping[float, Mapping[int, Outcome]]]], dict[str, Stopped]]

FEWEST_SEEDS = 2  # that say anything of their scatter


def stopping_level(confidence: float, strategies: int, looks: int) -> float:
    """Return the probability below which a strategy is stopped, for so many strategies and times to look."""
    return (1 - confidence) / (max(strategies * (strategies - 1), 1) * max(looks, 1))


def judge_of(labels: np.ndarray, metric: str, worth: float, level: float) -> Judge:
    """Return what says, before each round of a race, who is behind beyond doubt; the arguments are `behind`'s."""
    return lambda trained: behind({name: found[1.0] for name, found in trained.items()}, labels, metric, worth, level)


def behind(
    trained: Mapping[str, Mapping[int, Outcome]], labels: np.ndarray, metric: str, worth: float, level: float
) -> dict[str, Stopped]:
    """Return the strategies that are almost certainly worse than another by more than `worth`, and by what.

    `trained` holds outcomes of trainings on all images by strategy and seed, `labels` those of train and valid, int
    (N,). Seeds count that all strategies have. The one named as better is the best that shows it.
    """
    scored = {name: {s: o.valid for s, o in by_seed.items() if o.valid} for name, by_seed in trained.items()}
    shared = sorted(set.intersection(*map(set, scored.values())))
    if len(shared) < FEWEST_SEEDS or len(scored) < 2:
        return {}
    tables = {name: _table([scored[name][seed] for seed in shared], labels, metric) for name in sorted(scored)}
    widening = _widening([tables[a] - tables[b] for a, b in combinations(tables, 2)])
    freedom = (len(tables) - 1) * (len(shared) - 1)
    sign = -1 if metric in LOWER_IS_BETTER else 1
    ranked = sorted(tables, key=lambda name: (-sign * float(tables[name].scores.mean()), name))
    found: dict[str, Stopped] = {}
    for place, name in enumerate(ranked):
        for better in ranked[:place]:
            difference = tables[better] - tables[name]
            gap = sign * float(difference.scores.mean())
            p = _p_within(gap, worth, _variance(difference, widening), freedom)
            if p < level:
                found[name] = Stopped(behind=better, gap=gap, p_within=p, level=level, seeds=len(shared))
                break
    return found


def _table(parts: Sequence[Mapping[str, Any]], labels: np.ndarray, metric: str) -> InfluenceTable:
    """Return the table of some seeds' predictions: `rows` of the images, and their `probabilities`."""
    rows = [np.asarray(part["rows"]) for part in parts]
    joined = Scored([labels[each] for each in rows], [np.asarray(part["probabilities"]) for part in parts], rows)
    return influence_tables(joined, shared=False)[metric]


def _parts(difference: InfluenceTable) -> tuple[float, float]:
    """Return the variance of one seed's difference due to its images, and the covariance of two due to shared ones."""
    seeds = len(difference.scores)
    own = float((difference.influence**2).sum())
    whole = float((difference.influence.sum(0) ** 2).sum())
    return own / seeds, max(whole - own, 0.0) / (seeds * (seeds - 1))


def _widening(differences: Sequence[InfluenceTable]) -> float:
    """Return how much more differences scatter from seed to seed than their images alone explain; 1 or more."""
    parts = [_parts(difference) for difference in differences]
    explained = sum(own - shared for own, shared in parts)
    return max(1.0, sum(float(d.scores.var(ddof=1)) for d in differences) / explained) if explained > 0 else 1.0


def _variance(difference: InfluenceTable, widening: float) -> float:
    own, shared = _parts(difference)
    return widening * (own - shared) / len(difference.scores) + shared


def _p_within(gap: float, worth: float, variance: float, freedom: int) -> float:
    """Return the probability that a gap is at most `worth`."""
    if variance <= 0:
        return float(gap <= worth)
    return float(stdtr(freedom, np.float64((worth - gap) / np.sqrt(variance))))
