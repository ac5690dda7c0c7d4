"""All that speaks for one strategy or another: predictions on test, and on validation images that no search looked at.

Test images are predicted by each seed; a validation image by the seed that held it out, so that all seeds together
predict about as many images as were not set apart for test (cross-validation). Neither has a say in how a strategy is
trained, so both are as good, and a score is their mean, in which each image counts the same. Differences rest on two to
three times as many images as test alone has.
"""

from dataclasses import replace

import numpy as np

from pipeline.statistics.jackknife import InfluenceTable, Scored, influence_tables
from pipeline.statistics.scores_and_differences import Evidence, Predictions


def evidence(predictions: Predictions) -> tuple[Evidence, int]:
    """Return the table of each metric by strategy, and how many validation images are in it.

    Columns are of the test images, then of the validation images that any strategy has. Where some seed of some
    strategy has no validation images that the search did not look at, test images are all there is.
    """
    unseen = {name: each.unseen for name, each in predictions.items()}
    have = [scored for name, scored in unseen.items() if scored and scored.seeds == predictions[name].test.seeds]
    if len(have) < len(predictions):
        return {name: each.tested for name, each in predictions.items()}, 0
    ids = np.unique(np.concatenate([part for scored in have for part in scored.ids or []]))
    share = len(ids) / (len(ids) + max(len(labels) for each in predictions.values() for labels in each.test.labels))
    found = {}
    for (name, each), scored in zip(predictions.items(), have, strict=True):
        others = _on(ids, scored)
        found[name] = {metric: pooled(table, others[metric], share) for metric, table in each.tested.items()}
    return found, len(ids)


def _on(ids: np.ndarray, scored: Scored) -> dict[str, InfluenceTable]:
    """Return the table of each metric with a column for each of these images."""
    tables = influence_tables(scored, shared=False)
    columns = np.searchsorted(ids, np.unique(np.concatenate(scored.ids or [])))
    found = {}
    for metric, table in tables.items():
        influence = np.zeros((len(table.scores), len(ids)))
        influence[:, columns] = table.influence
        found[metric] = replace(table, influence=influence)
    return found


def pooled(tested: InfluenceTable, unseen: InfluenceTable, share: float) -> InfluenceTable:
    """Return the table of the mean of two scores of different images, of which the second has this share."""
    return InfluenceTable(
        (1 - share) * tested.scores + share * unseen.scores,
        np.concatenate([(1 - share) * tested.influence, share * unseen.influence], axis=-1),
        tested.images + unseen.images,
        tested.seeds,
    )
