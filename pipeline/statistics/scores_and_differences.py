"""Scores of each strategy and the difference of each pair, with intervals; randomness comes from a seed alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations

import numpy as np

from pipeline.config.metric_names import LOWER_IS_BETTER, METRICS
from pipeline.statistics import intervals
from pipeline.statistics.jackknife import InfluenceTable, Scored, influence_tables, recall_influence_tables
from pipeline.statistics.schema import ClassScores, Difference, Pair, Recall, Score, Scores

WHOLE = 1.0  # the fraction that is all the training data


@dataclass(frozen=True)
class StrategyPredictions:
    """The predictions of one strategy's trainings, and their scores."""

    valid: Scored  # the validation split of each seed
    test: Scored  # the same images for each seed
    valid_scores: Sequence[Mapping[str, float]]  # per seed
    test_scores: Sequence[Mapping[str, float]]
    curve: Mapping[float, Mapping[str, InfluenceTable]] = field(default_factory=dict)  # on test, by fraction below 1
    unseen: Scored | None = None  # of each seed's validation images, those that no search looked at

    @cached_property
    def tested(self) -> dict[str, InfluenceTable]:
        """Return the table of every metric on test, of trainings on all images."""
        return influence_tables(self.test)

    @cached_property
    def by_fraction(self) -> dict[float, Mapping[str, InfluenceTable]]:
        """Return the table of every metric on test by fraction, ascending, including 1."""
        return dict(sorted({**self.curve, WHOLE: self.tested}.items()))


Predictions = Mapping[str, StrategyPredictions]  # by strategy
Evidence = Mapping[str, Mapping[str, InfluenceTable]]  # by strategy and metric: what differences rest on


def scores_on_valid(predictions: StrategyPredictions, confidence: float) -> Scores:
    """Return every metric on validation."""
    return _scores(influence_tables(predictions.valid, shared=False), predictions.valid_scores, confidence)


def scores_on_test(predictions: StrategyPredictions, confidence: float) -> Scores:
    """Return every metric on test, of trainings on all images."""
    return _scores(predictions.tested, predictions.test_scores, confidence)


def curve_scores(predictions: StrategyPredictions, confidence: float) -> dict[float, Scores]:
    """Return every metric on test by fraction of the training images, ascending; the last is of all."""
    return {
        fraction: scores_on_test(predictions, confidence) if fraction == WHOLE else
        {m: _score(found[m], m, found[m].scores.tolist(), confidence) for m in METRICS}
        for fraction, found in predictions.by_fraction.items()
    }  # fmt: skip


def _scores(found: Mapping[str, InfluenceTable], by_seed: Sequence[Mapping[str, float]], confidence: float) -> Scores:
    return {m: _score(found[m], m, [scores[m] for scores in by_seed], confidence) for m in METRICS}


def _score(table: InfluenceTable, metric: str, per_seed: Sequence[float], confidence: float) -> Score:
    low, high = intervals.score_interval(intervals.estimate(table), metric, confidence)
    return Score(mean=float(np.mean(per_seed)), ci=(float(low), float(high)), per_seed=tuple(per_seed))


def class_scores(scored: Scored, confidence: float) -> list[ClassScores]:
    """Return each class's recall with its interval, precision and F1, over all seeds."""
    table, rows = np.array(confusion(scored)), []
    for c, recalls in enumerate(recall_influence_tables(scored)):
        right, named, own = (int(n) for n in (table[c, c], table[:, c].sum(), table[c].sum()))
        rows.append(
            ClassScores(
                images=own // len(scored.labels),
                recall=None if recalls is None else _recall(recalls, confidence),
                precision=right / named if named else 0.0,
                f1=2 * right / (named + own) if named + own else 0.0,
            )
        )
    return rows


def _recall(table: InfluenceTable, confidence: float) -> Recall:
    score = _score(table, "recall", table.scores.tolist(), confidence)
    return Recall(mean=score.mean, ci=score.ci)


def confusion(scored: Scored) -> list[list[int]]:
    """Return counts by true class (rows) and predicted class (columns), summed over seeds."""
    classes = scored.probabilities[0].shape[1]
    table = np.zeros((classes, classes), dtype=int)
    for labels, probabilities in zip(scored.labels, scored.probabilities, strict=True):
        np.add.at(table, (labels, probabilities.argmax(1)), 1)
    return table.tolist()


def compare_pairs(
    predictions: Predictions,
    metric: str,
    resamples: int,
    confidence: float,
    seed: int,
    evidence: Evidence | None = None,
) -> tuple[Pair, ...]:
    """Return the difference of every pair in every metric, paired over seeds and images.

    The images are those of `evidence`, or of test; single runs are compared on test. P-values are corrected for the
    number of pairs. No result depends on the order of strategies; none but `p_run_beats`, which is drawn, on the order
    of images or seeds.
    """
    names = list(combinations(sorted(predictions), 2))
    if not names:
        return ()
    drawn = intervals.runs({(n, m): predictions[n].tested[m] for n in sorted(predictions) for m in METRICS},
                           resamples, seed)  # fmt: skip
    found: dict[tuple[str, str], dict[str, Difference]] = {pair: {} for pair in names}
    tables = evidence or {name: each.tested for name, each in predictions.items()}
    for m in METRICS:
        estimates = [intervals.estimate(tables[a][m] - tables[b][m]) for a, b in names]
        adjusted = intervals.holm([float(each.p_value()) for each in estimates])
        for (a, b), estimated, p in zip(names, estimates, adjusted, strict=True):
            rows = _shared_rows(*(predictions[name].tested[m] for name in (a, b)))
            first, second = (drawn[name, m][:, rows[name == b]] for name in _worse_last(a, b, m))
            low, high = intervals.difference_interval(estimated, confidence)
            above = float(estimated.chance_above())
            found[a, b][m] = Difference(
                difference=float(estimated.mean),
                ci=(float(low), float(high)),
                p_a_beats_b=1 - above if m in LOWER_IS_BETTER else above,
                p_value=float(estimated.p_value()),
                p_adjusted=p,
                p_run_beats=intervals.run_chance(first, second),
            )
    return tuple(
        Pair(a=a, b=b, differences=each, better=better(a, b, each[metric], confidence))
        for (a, b), each in found.items()
    )


def _shared_rows(a: InfluenceTable, b: InfluenceTable) -> tuple[list[int], list[int]]:
    """Return the rows in two tables of the seeds that both have."""
    both = [seed for seed in a.seeds if seed in b.seeds]
    return [a.seeds.index(seed) for seed in both], [b.seeds.index(seed) for seed in both]


def _worse_last(a: str, b: str, metric: str) -> tuple[str, str]:
    """Return the pair ordered so that a higher number of the first means that it is better."""
    return (b, a) if metric in LOWER_IS_BETTER else (a, b)


def better(a: str, b: str, found: Difference, confidence: float) -> str | None:
    """Return the one of a pair that is significantly better, after correction for the number of pairs."""
    if found.p_adjusted > 1 - confidence:
        return None
    return a if found.p_a_beats_b > 0.5 else b


def curve_draws(predictions: Predictions, metric: str, resamples: int, seed: int) -> dict[str, dict[float, np.ndarray]]:
    """Return (resamples,) draws of a test metric by strategy and fraction, ascending, including 1.

    All share the images drawn and the seeds' weights, so that draw i of one is paired with draw i of another.
    """
    kept = {
        (name, fraction): found[metric]
        for name in sorted(predictions)
        for fraction, found in predictions[name].by_fraction.items()
    }
    made: dict[str, dict[float, np.ndarray]] = {name: {} for name in sorted(predictions)}
    for (name, fraction), drawn in intervals.draws(kept, resamples, seed).items():
        made[name][fraction] = drawn
    return made


def choose(means: Mapping[str, float], metric: str) -> str:
    """Return the name with the best mean; of equals, the first by name."""
    sign = 1 if metric in LOWER_IS_BETTER else -1
    return min(sorted(means), key=lambda name: sign * means[name])
