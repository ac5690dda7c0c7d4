"""All that is measured of the strategies, put together: what results/comparison.json holds."""

from itertools import combinations
from typing import Any

import numpy as np

from pipeline.config.metric_names import settled
from pipeline.config.params import Compare
from pipeline.statistics import calibration, comparison, crossover
from pipeline.statistics.backbone_ranking import ranking
from pipeline.statistics.comparison import Entry
from pipeline.statistics.stored_results import Measured
from pipeline.verdict.advice import conclude

FINEST = 60  # sizes at which a curve's law is drawn
SEARCH = ("trials", "search_flops", "budget_flops", "ended_by")


def gather(measured: Measured, dataset: dict[str, Any], wanted: Compare) -> dict[str, Any]:
    """Return the comparison of the strategies measured on a data set."""
    entries = measured.entries
    metric, reason = settled(wanted.metric, dataset["counts"]["train"])
    found = comparison.compare(entries, metric, wanted.resamples, wanted.confidence, wanted.seed, dataset["classes"])
    found |= {"metric_reason": reason, "dataset": dataset, **_curves(entries, found, wanted)}
    for name, strategy in found["strategies"].items():
        valid, test = entries[name].valid, entries[name].test
        strategy |= {
            "search": {key: measured.tuned[name][key] for key in SEARCH},
            "transfer": measured.trained[name]["transfer"],
            "calibration": calibration.summarise(
                (valid.labels, valid.probabilities), (test.labels, test.probabilities)
            ),
        }
    return found | {"ranking": ranking(found)} | conclude(found)


def _curves(entries: dict[str, Entry], found: dict[str, Any], wanted: Compare) -> dict[str, Any]:
    """Return where the learning curves cross; add to each strategy the law of its own."""
    drawn = comparison.curve_draws(entries, found["metric"], wanted.resamples, wanted.seed)
    draws = {name: np.stack(list(by_fraction.values()), 1) for name, by_fraction in drawn.items()}
    # The same for all strategies: they share the splits.
    sizes = np.array([point["images"] for point in next(iter(found["strategies"].values()))["curve"]], dtype=float)
    for name, strategy in found["strategies"].items():
        grid = np.geomspace(sizes[0], sizes[-1] * crossover.REACH, FINEST)
        band = crossover.band(sizes, draws[name], grid, found["metric"], wanted.confidence)
        parts = dict(zip(("low", "middle", "high"), band)) if band else {}
        strategy["law"] = {key: values.tolist() for key, values in {"images": grid, **parts}.items()} if band else None
    crossovers = [
        crossover.crossover(a, b, sizes, draws[a], draws[b], found["metric"], wanted.confidence)
        for a, b in combinations(sorted(entries), 2)
    ]
    return {"crossovers": crossovers}
