"""Comparisons of every sort, for properties that hold of all of them."""

from typing import Any

from hypothesis import strategies as st

from pipeline.config.constraints import Constraints
from pipeline.config.metric_names import METRICS
from pipeline.statistics.schema import Comparison
from pipeline.statistics.timings import StrategyTimings
from tests.support.example import CLASSES, comparison, timings

NAMES = [f"strategy-{letter}" for letter in "abcdefgh"]
STARTS = [{"weights": "pretrained", "cut": "head"}, {"weights": "pretrained", "cut": 3},
          {"weights": "random", "cut": "input"}, {"weights": "random", "cut": "head"}]  # fmt: skip


@st.composite
def rows(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    """Draw one to eight strategies; ties in score and cost are common."""
    share = st.integers(55, 95).map(lambda n: n / 100)
    cost = st.integers(1, 40).map(float)
    return {
        name: {
            **draw(st.sampled_from(STARTS)), "accuracy": draw(share), "valid": draw(share),
            "slope": draw(st.integers(0, 8)) / 100, "recalls": {CLASSES[0]: draw(share)},
            "train_flops": draw(cost) * 1e11, "predict_flops": draw(cost) * 1e8, "model_bytes": draw(cost) * 1e6,
            "backbone": draw(st.sampled_from(["big", "small"])),
        } for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    }  # fmt: skip


@st.composite
def worlds(draw: st.DrawFn) -> Comparison:
    """Draw a comparison."""
    kwargs = {"metric": draw(st.sampled_from(METRICS)), "paired": draw(st.integers(1, 100)) / 1000}
    return comparison(draw(rows()), **kwargs)


def limits(**fixed: Any) -> st.SearchStrategy[Constraints]:
    """Draw constraints, some of them set."""
    share = st.integers(50, 99).map(lambda n: n / 100)
    kinds = {
        "train_flops": st.integers(1, 50).map(lambda n: n * 1e11),
        "train_minutes": st.integers(1, 40).map(float),
        "latency_ms": st.integers(1, 200).map(float),
        "model_mb": st.integers(1, 50).map(float),
        "min_accuracy": share,
        "min_recall": st.dictionaries(st.sampled_from(CLASSES), share, max_size=2),
        "images": st.none() | st.integers(1, 4000),
    } | fixed
    return st.fixed_dictionaries({}, optional=kinds).map(lambda given: Constraints(**given))


def measured(compared: Comparison) -> dict[str, StrategyTimings]:
    """Return timings of all strategies."""
    return timings(sorted(compared.strategies))
