import pytest
import yaml
from pydantic import ValidationError

from pipeline.config.constraints import Constraints
from pipeline.config.settings import explain


@pytest.mark.parametrize(
    ("bad", "key"),
    [
        ({"train_flops": 0}, "train_flops"),
        ({"train_minutes": -1}, "train_minutes"),
        ({"latency_ms": "fast"}, "latency_ms"),
        ({"model_mb": float("nan")}, "model_mb"),
        ({"min_accuracy": 1}, "min_accuracy"),
        ({"min_accuracy": 85}, "min_accuracy"),
        ({"min_recall": {"ash": 0}}, "min_recall.ash"),
        ({"min_recall": 0.9}, "min_recall"),
        ({"images": 0}, "images"),
        ({"latency": 3}, "latency"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_its_key(bad, key):
    with pytest.raises(ValidationError) as caught:
        Constraints(**bad)
    (problem,) = caught.value.errors()
    assert explain(problem, Constraints).startswith(f"  {key}: ")


def test_classes_may_have_numbers_for_names():
    assert Constraints(**yaml.safe_load("min_recall: {0: 0.9}")).min_recall == {"0": 0.9}
