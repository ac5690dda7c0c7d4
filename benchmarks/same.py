"""How often two sets of seeds of one real recipe are said to differ: heads trained on cached features."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.demo import Demo, clock
from benchmarks.simulation import predictions
from pipeline.common.progress import Progress
from pipeline.config.metric_names import METRICS
from pipeline.data import image_set
from pipeline.statistics.schema import Comparison
from pipeline.statistics.scores_and_differences import compare_pairs
from pipeline.training.unit import unit

EACH, PAIRS = 5, 50
SEEDS = 2 * EACH * PAIRS  # no training is in two pairs: pairs that share some agree in their luck
FIRST = 1001  # seeds that nothing else uses
COMPARISON = Path(__file__).parents[1] / "docs" / "results" / "comparison.json"


def measure(demo: Demo, test_folder: Path, strategy: str = "frozen") -> dict[str, Any]:
    """Compare 50 times five seeds of a recipe with five others, each training in one pair alone."""
    recipe = Comparison.load(COMPARISON).strategies[strategy].recipe
    context, test = demo.context(), image_set.load(test_folder)
    runs = []
    with clock() as used, Progress("trainings", SEEDS, "training") as bar:
        for seed in range(FIRST, FIRST + SEEDS):
            found = unit(recipe, context, seed, test=test).test
            runs.append(np.array(found["probabilities"]))
            bar.step(1)
    every = np.stack(runs)
    significant = dict.fromkeys(METRICS, 0)
    for first in range(0, SEEDS, 2 * EACH):
        sets = {"a": every[first : first + EACH], "b": every[first + EACH : first + 2 * EACH]}
        strategies = {name: predictions(test.labels, part) for name, part in sets.items()}
        (pair,) = compare_pairs(strategies, "accuracy", 1, 0.95, 0)
        for metric in METRICS:
            significant[metric] += pair.differences[metric].p_adjusted <= 0.05
    accuracies = (every.argmax(2) == test.labels).mean(1)
    return {
        "aa_false_winner_rate_real": significant["accuracy"] / PAIRS,
        "by_metric": {metric: count / PAIRS for metric, count in significant.items()},
        "pairs": PAIRS,
        "trainings": SEEDS,
        "seeds_each": EACH,
        "images": len(test),
        "recipe": recipe.model_dump(),
        "accuracy": {"mean": float(accuracies.mean()), "deviation_between_seeds": float(accuracies.std(ddof=1))},
        "cpu_seconds_per_training": used.seconds / SEEDS,
    }
