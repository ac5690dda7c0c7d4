"""Comparisons that are drawn: one of three strategies, and one of seven arms with long names."""

import pytest

from pipeline.report import page
from pipeline.statistics.backbone_ranking import ranking
from tests.support.example import STRATEGIES, TRANSFER, comparison
from tests.support.reports import inputs, trials


@pytest.fixture(scope="session")
def three():
    return inputs()


@pytest.fixture(scope="session")
def pictures(three):
    return page.pictures(three.comparison, three.trials)


ARMS = [f"{row}-{name}" for row in ("finetune", "frozen") for name in ("efficientnet_lite1", "resnet50_of_mine", "vit")]


@pytest.fixture(scope="session")
def seven():
    """Return a comparison of two strategies on three backbones each and one more, and the figures of it."""
    backbones = {name: name.partition("-")[2] for name in ARMS}
    rows = {
        name: {"backbone": backbones[name], "cut": "head" if n > 2 else 3, "accuracy": 0.8 + 0.02 * n,
               "train_flops": (n + 1) * 1e12, "predict_flops": (n % 3 + 1) * 1e9,
               "transfer": {**TRANSFER, "log_me": 0.1 * (n % 3), "ridge_accuracy": 0.7 + 0.05 * (n % 3)}}
        for n, name in enumerate(ARMS)
    }  # fmt: skip
    found = comparison(rows | {"scratch": STRATEGIES["scratch"]})
    crossing = {"images": 300.0, "ci": (200.0, 500.0), "crossings": 1, "outcome": "inside"}
    crossed = [c.model_copy(update={**crossing, "overtaker": c.a}) for c in found.crossovers]
    found = found.model_copy(update={"crossovers": tuple(crossed), "ranking": ranking(found)})
    return found, page.pictures(found, {name: trials(n) for n, name in enumerate(found.strategies)})
