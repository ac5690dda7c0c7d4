"""The scores of all strategies at all sizes by the metric that decides, with their joint covariance by its source.

The covariance is that of `intervals.estimate`, of two scores instead of one: so the variance of the difference of two
scores is that of their paired difference. Strategies may have different seeds and sizes: what two scores share follows
from the seeds that both have.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import stdtrit

from pipeline.config.metric_names import LOWER_IS_BETTER
from pipeline.statistics.jackknife import InfluenceTable
from pipeline.statistics.posterior import Estimates
from pipeline.statistics.schema import Comparison, JointScores
from pipeline.statistics.scores_and_differences import WHOLE, Evidence, Predictions

_ONE_DEVIATION = 0.8413447460685429  # probability of less than one standard deviation above the mean


def joint_scores(
    predictions: Predictions, sizes: Mapping[str, Mapping[float, int]], metric: str, evidence: Evidence | None = None
) -> JointScores:
    """Return the joint scores; `sizes` are the training images by strategy and fraction.

    With `evidence`, scores of trainings on all images are those of its tables.
    """
    cells = [(name, fraction) for name in sorted(predictions) for fraction in predictions[name].by_fraction]
    tables = [
        evidence[name][metric] if evidence and fraction == WHOLE else predictions[name].by_fraction[fraction][metric]
        for name, fraction in cells
    ]
    from_images, from_seeds = covariances(tables)
    return JointScores(
        strategies=tuple(name for name, _ in cells),
        images=tuple(sizes[name][fraction] for name, fraction in cells),
        means=tuple(float(table.scores.mean()) for table in tables),
        from_images=_rows(from_images),
        from_seeds=_rows(from_seeds),
    )


def covariances(tables: Sequence[InfluenceTable]) -> tuple[np.ndarray, np.ndarray]:
    """Return the covariance of the means of scores (K, K) that comes from their images, and what seeds add to it.

    What they add may be negative, where seeds happen to agree more than their images let expect. The first columns of
    tables are of the same images; one that has fewer columns did not score those that follow.
    """
    influences = _widened(tables)
    shared = np.array([[len(set(a.seeds) & set(b.seeds)) for b in tables] for a in tables])
    counts = np.array([len(table.seeds) for table in tables])
    means = np.stack([influence.mean(0) for influence in influences])
    return means @ means.T, _from_seeds(tables, influences, shared, counts)


def _widened(tables: Sequence[InfluenceTable]) -> list[np.ndarray]:
    """Return the influences (S, M), all with as many columns."""
    most = max(table.influence.shape[1] for table in tables)
    return [np.pad(table.influence, ((0, 0), (0, most - table.influence.shape[1]))) for table in tables]


def _from_seeds(
    tables: Sequence[InfluenceTable], influences: Sequence[np.ndarray], shared: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """Return the covariance (K, K) of two means that comes from the scatter of the seeds they share, beyond images.

    Of their scatter, what images explain is left out: the noise of one seed's images, less what two seeds share. The
    rest is widened so that one standard deviation covers what one of Student's t for so few seeds does, and of what
    images explain a part is, as `intervals.estimate` has it.
    """
    found = np.zeros(shared.shape)
    wider = [stdtrit(max(count - 1, 1), _ONE_DEVIATION) for count in counts]
    for i, a in enumerate(tables):
        for j, b in enumerate(tables[: i + 1]):
            if shared[i, j] < 2:
                continue
            both = sorted(set(a.seeds) & set(b.seeds))
            rows = [[t.seeds.index(seed) for seed in both] for t in (a, b)]
            scatter = float(np.cov(a.scores[rows[0]], b.scores[rows[1]], ddof=1)[0, 1])
            one, other = influences[i][rows[0]], influences[j][rows[1]]
            own = float((one * other).sum()) / len(both)
            of_two = (float(one.sum(0) @ other.sum(0)) - len(both) * own) / (len(both) * (len(both) - 1))
            widening, explained = wider[i] * wider[j], own - of_two
            beyond = (scatter - explained) * widening + explained * (widening - 1) / (len(both) - 1)
            found[i, j] = found[j, i] = beyond * shared[i, j] / (counts[i] * counts[j])
    return found


def _rows(matrix: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(map(float, row)) for row in matrix)


def at_size(joint: JointScores, images: float | None = None) -> JointScores:
    """Return one score of each strategy: at a number of training images, or at the most it was measured with.

    Between two measured sizes both count, by their distance in log n. Outside the measured sizes, the nearest counts.
    """
    names = list(dict.fromkeys(joint.strategies))
    weights = np.zeros((len(names), len(joint.means)))
    for row, name in enumerate(names):
        cells = sorted((joint.images[i], i) for i, each in enumerate(joint.strategies) if each == name)
        sizes = np.log([size for size, _ in cells])
        place = sizes[-1] if images is None else float(np.clip(np.log(images), sizes[0], sizes[-1]))
        for k, (_, i) in enumerate(cells):
            weights[row, i] = np.interp(place, sizes, np.eye(len(cells))[k])
    last = max(joint.images) if images is None else round(images)
    return JointScores(
        strategies=tuple(names),
        images=(last,) * len(names),
        means=tuple((weights @ joint.means).tolist()),
        from_images=_rows(_between(np.array(joint.from_images), weights)),
        from_seeds=_rows(_between(np.array(joint.from_seeds), weights)),
    )


def _between(covariance: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the covariance of scores between sizes, which is between those at the sizes; each row has its weights.

    It is not that of the interpolated scores, whose noise would be less than at either size, as if the curve between
    them were known to be straight. A column of weights is a size of one strategy, ascending, so that the shares of
    sizes are matched from the smallest up where strategies have different ones.
    """
    upto = weights.cumsum(1)
    ends = np.unique(np.append(np.round(upto[weights > 0], 12), 1.0))
    mixed = np.zeros((len(weights), len(weights)))
    for start, end in zip(np.append(0.0, ends[:-1]), ends):
        cells = (upto < (start + end) / 2).sum(1)
        mixed += (end - start) * covariance[np.ix_(cells, cells)]
    return mixed


def estimates(comparison: Comparison, names: Sequence[str]) -> Estimates:
    """Return the estimates of some strategies at the most images each was measured with; more is better."""
    joint = at_size(comparison.joint)
    sign = -1.0 if comparison.metric in LOWER_IS_BETTER else 1.0
    found = Estimates(
        joint.strategies, sign * np.array(joint.means), np.array(joint.from_images), np.array(joint.from_seeds)
    )
    return found.among(names)
