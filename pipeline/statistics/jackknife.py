"""A score of several seeds as an influence table: each seed's value, and the influence of each image on it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import rankdata


@dataclass(frozen=True)
class Scored:
    """One strategy's predictions on a split, by seed.

    Without `ids` all seeds scored the same images, in one order.
    """

    labels: list[np.ndarray]  # per seed: int (N,)
    probabilities: list[np.ndarray]  # per seed: float (N, C)
    ids: list[np.ndarray] | None = None  # per seed: which images, (N,); an image has the same id for each seed
    seeds: tuple[int, ...] = ()  # empty: numbered from 0


@dataclass(frozen=True)
class InfluenceTable:
    """A metric's value for each seed, and how it would change if an image counted once more.

    Both may have leading axes, for many tables at once.
    """

    scores: np.ndarray  # (..., S)
    influence: np.ndarray  # (..., S, M): a column for each different image; 0 where a seed did not score it
    images: int  # on which the score rests: of the rarest class where classes count equally
    seeds: tuple[int, ...] = ()  # of the rows; numbered from 0 where none are given

    def __post_init__(self) -> None:
        """Number the seeds where none are given."""
        if not self.seeds:
            object.__setattr__(self, "seeds", tuple(range(self.scores.shape[-1])))

    def __sub__(self, other: "InfluenceTable") -> "InfluenceTable":
        """Return the difference, paired over images and the seeds that both have."""
        if self.seeds != other.seeds:
            shared = tuple(seed for seed in self.seeds if seed in other.seeds)
            return self.of(shared) - other.of(shared)
        return InfluenceTable(
            self.scores - other.scores, self.influence - other.influence, min(self.images, other.images), self.seeds
        )

    def of(self, seeds: Sequence[int]) -> "InfluenceTable":
        """Return the table of some of its seeds."""
        rows = [self.seeds.index(seed) for seed in seeds]
        return InfluenceTable(self.scores[..., rows], self.influence[..., rows, :], self.images, tuple(seeds))


def influence_tables(scored: Scored, shared: bool = True) -> dict[str, InfluenceTable]:
    """Return every metric's table. Without `shared` and ids, each seed has its own images."""
    by_seed = [influence_tables_of(y, p[None]) for y, p in zip(scored.labels, scored.probabilities, strict=True)]
    columns, width = _columns(scored, shared)
    return {m: replace(_joined([each[m] for each in by_seed], columns, width), seeds=scored.seeds) for m in by_seed[0]}


def recall_influence_tables(scored: Scored) -> list[InfluenceTable | None]:
    """Return a table of each class's recall; None for a class of which some seed has scored no image."""
    columns, width = _columns(scored, shared=True)
    right = [p.argmax(1) == y for y, p in zip(scored.labels, scored.probabilities, strict=True)]

    def table(c: int) -> InfluenceTable | None:
        members = [labels == c for labels in scored.labels]
        if not all(rows.any() for rows in members):
            return None
        return _joined([mean_influence_table(r[None], rows) for r, rows in zip(right, members)], columns, width)

    return [table(c) for c in range(scored.probabilities[0].shape[1])]


def influence_tables_of(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, InfluenceTable]:
    """Return every metric's table for labels (N,) and probabilities (..., S, N, C) of the same images.

    The influence of an image is the infinitesimal jackknife's: for accuracy and log loss its own value less the
    mean; for balanced accuracy the same within its class; for the area under the curve its share of the pairs won
    (DeLong, DeLong and Clarke-Pearson 1988). It is scaled so that squares add up to an unbiased variance.
    """
    classes = probabilities.shape[-1]
    right = probabilities.argmax(-1) == labels
    doubles = probabilities.astype(np.float64)
    own = doubles[..., np.arange(len(labels)), labels] / doubles.sum(-1)
    members = [labels == c for c in range(classes)]
    present = [rows for rows in members if rows.any()]
    rarest = min(int(rows.sum()) for rows in present)
    everyone = np.ones(len(labels), dtype=bool)
    recalls = [mean_influence_table(right, rows) for rows in present]
    if len(present) < classes:  # no curve exists
        areas = [InfluenceTable(np.full(own.shape[:-1], 0.5), np.zeros(own.shape), rarest)]
    else:
        areas = [_area(doubles[..., c], members[c], rarest) for c in ([1] if classes == 2 else range(classes))]
    return {
        "accuracy": mean_influence_table(right, everyone),
        "balanced_accuracy": _average(recalls, rarest),
        "roc_auc": _average(areas, rarest),
        "log_loss": mean_influence_table(-np.log(np.clip(own, np.finfo(np.float64).eps, 1)) + 0.0, everyone),
    }


def mean_influence_table(values: np.ndarray, rows: np.ndarray) -> InfluenceTable:
    """Return the table of the mean of values (..., N) over the rows (N,) selected by a boolean mask."""
    count = int(rows.sum())
    scores = values[..., rows].mean(-1)
    influence = np.where(rows, values - scores[..., None], 0.0) / (count * _shrink(count))
    return InfluenceTable(scores, influence, count)


def _shrink(count: int) -> float:
    """Return the factor by which deviations from a mean of `count` values are too small."""
    return float(np.sqrt((count - 1) / count)) if count > 1 else 1.0


def _area(scores: np.ndarray, positive: np.ndarray, images: int) -> InfluenceTable:
    """Return the table of the area under the ROC curve of scores (..., N); ties count half."""
    many, few = positive.sum(), (~positive).sum()
    ranks = rankdata(scores, axis=-1)
    won = np.empty(scores.shape)  # by each image, of its pairs with the other class
    won[..., positive] = (ranks[..., positive] - rankdata(scores[..., positive], axis=-1)) / few
    won[..., ~positive] = 1 - (ranks[..., ~positive] - rankdata(scores[..., ~positive], axis=-1)) / many
    both = [mean_influence_table(won, positive), mean_influence_table(won, ~positive)]
    return InfluenceTable(both[0].scores, both[0].influence + both[1].influence, images)


def _average(parts: list[InfluenceTable], images: int) -> InfluenceTable:
    scores = np.mean([part.scores for part in parts], axis=0)
    return InfluenceTable(scores, np.mean([part.influence for part in parts], axis=0), images)


def _columns(scored: Scored, shared: bool) -> tuple[list[np.ndarray], int]:
    """Return each seed's columns in a table with one for each different image, and how many there are."""
    sizes = [len(labels) for labels in scored.labels]
    if scored.ids is not None:
        different, inverse = np.unique(np.concatenate(scored.ids), return_inverse=True)
        return np.split(inverse.ravel(), np.cumsum(sizes)[:-1]), len(different)
    if shared:
        return [np.arange(sizes[0])] * len(sizes), sizes[0]
    return np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1]), sum(sizes)


def _joined(parts: list[InfluenceTable], columns: list[np.ndarray], width: int) -> InfluenceTable:
    influence = np.zeros((len(parts), width))
    for row, part, places in zip(influence, parts, columns, strict=True):
        row[places] = part.influence[0]
    return InfluenceTable(
        np.concatenate([part.scores for part in parts]), influence, min(part.images for part in parts)
    )
