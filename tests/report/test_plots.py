import pytest

from pipeline.report import plots
from tests.support.example import comparison
from tests.support.reports import inputs, trials


@pytest.fixture(scope="module")
def compared():
    return comparison()


def test_every_strategy_has_its_scores_and_costs(compared):
    found = plots.metrics(compared)
    assert set(found) == set(compared.strategies)
    for name, strategy in compared.strategies.items():
        assert found[name]["log_loss"] == strategy.test["log_loss"].mean
        assert found[name]["calibration_error"] == strategy.calibration.raw.ece
        assert found[name]["train_flops"] == strategy.cost.train_flops


def test_every_point_bin_and_cell_has_a_row(compared):
    tables = plots.tables(compared, {name: trials(n) for n, name in enumerate(compared.strategies)})
    assert len(tables["learning_curve"]) == 3 * 4
    assert len(tables["reliability"]) == 3 * 2 * 3
    assert len(tables["confusion"]) == 3 * 9
    curve = tables["learning_curve"]
    assert ((curve["low"] <= curve["accuracy"]) & (curve["accuracy"] <= curve["high"])).all()


def test_a_large_confusion_matrix_is_listed_without_its_empty_cells():
    made = inputs(classes=40, images=80)
    table = plots.tables(made.comparison, made.trials)["confusion"]
    assert table["images"].min() > 0
    assert table["images"].sum() == sum(sum(map(sum, s.confusion)) for s in made.comparison.strategies.values())


def test_the_best_so_far_never_rises_and_begins_with_the_first_trial_trained_to_the_end(compared):
    tables = plots.tables(compared, {name: trials(n) for n, name in enumerate(compared.strategies)})
    for _, rows in tables["search"].groupby("strategy"):
        assert rows["best"].is_monotonic_decreasing
        assert rows["best"].iloc[0] == rows["log_loss"].iloc[0]
