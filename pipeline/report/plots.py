"""What DVC shows of a comparison: numbers for `dvc metrics`, tables for `dvc plots`; templates are in .dvc/plots."""

from collections.abc import Mapping

import pandas as pd

from pipeline.statistics.schema import Comparison

MOST_CELLS = 1000  # of a confusion matrix; a larger one is listed without its empty cells
SHOWN = ("train_flops", "search_flops", "predict_flops", "parameters")


def metrics(comparison: Comparison) -> dict[str, dict[str, float]]:
    """Return a few numbers of each strategy: mean test scores, calibration error, and costs."""
    return {
        name: {
            **{metric: score.mean for metric, score in strategy.test.items()},
            "calibration_error": strategy.calibration.raw.ece,
            **{cost: getattr(strategy.cost, cost) for cost in SHOWN},
        }
        for name, strategy in comparison.strategies.items()
    }


def tables(comparison: Comparison, trials: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return the table of each plot by its name; `trials` are the tables that tune exports."""
    strategies, classes = comparison.strategies, comparison.dataset.classes
    curve = [
        {"strategy": name, "images": point.images, "accuracy": point.scores["accuracy"].mean,
         "low": point.scores["accuracy"].ci[0], "high": point.scores["accuracy"].ci[1]}
        for name, s in strategies.items() for point in s.curve
    ]  # fmt: skip
    confusion = [
        {"strategy": name, "actual": classes[i], "predicted": classes[j], "images": images}
        for name, s in strategies.items() for i, row in enumerate(s.confusion) for j, images in enumerate(row)
        if images or len(classes) ** 2 <= MOST_CELLS
    ]  # fmt: skip
    reliability = [
        {"strategy": name, "kind": kind, "confidence": b.confidence, "accuracy": b.accuracy, "share": b.share}
        for name, s in strategies.items()
        for kind, errors in (("raw", s.calibration.raw), ("scaled", s.calibration.scaled)) for b in errors.bins
    ]  # fmt: skip
    found = {"learning_curve": curve, "confusion": confusion, "reliability": reliability}
    searches = pd.concat([_search(name, trials[name]) for name in strategies], ignore_index=True)
    return {"search": searches, **{name: pd.DataFrame(rows) for name, rows in found.items()}}


def _search(name: str, trials: pd.DataFrame) -> pd.DataFrame:
    """Return each trial's loss and the best so far of those trained to the end."""
    done, confirmed = trials["state"].isin(("COMPLETE", "CONFIRMED")), trials["state"] == "CONFIRMED"
    best = trials["value"].where(done).groupby(confirmed).cummin().ffill()  # anew once whole recipes are trained
    table = pd.DataFrame({"strategy": name, "trial": trials["trial"], "log_loss": trials["value"], "best": best})
    return table[table["best"].notna()]
