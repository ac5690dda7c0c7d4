from dataclasses import replace

from pipeline.common.outcome import Epoch
from pipeline.search.trials import best, table, total_flops
from tests.support.searching import ROW


def test_the_best_trial_has_the_lowest_loss_of_those_trained_to_the_end(
    uninterrupted,
):
    tried, _ = uninterrupted
    complete = [t for t in tried if t.state == "COMPLETE"]
    assert best(tried) in complete
    assert best(tried).value == min(t.value for t in complete)
    assert best(list(reversed(tried))) == best(tried)
    assert all(len(t.outcome.epochs) == 6 for t in complete)
    pruned = next(t for t in tried if t.state == "PRUNED")
    lucky = replace(pruned.outcome, epochs=[Epoch(1, 0.0, {"log_loss": 0.0})])
    assert best([*tried, replace(pruned, outcome=lucky)]) == best(tried)


def test_a_search_costs_every_fit_and_each_different_feature_pass_once(
    uninterrupted,
):
    tried, _ = uninterrupted
    assert {t.recipe.head for t in tried} == {"linear", "mlp"}
    assert total_flops(tried) == 2 * 1000 + sum(10 * len(t.outcome.epochs) for t in tried)


def test_the_table_has_a_row_for_each_trial(uninterrupted):
    tried, _ = uninterrupted
    rows = table(tried)
    assert list(rows["trial"]) == list(range(5))
    assert list(rows["value"]) == [t.value for t in tried] == list(rows["valid_log_loss"])
    assert list(rows["learning_rate"]) == [t.recipe.learning_rate for t in tried]
    assert set(ROW.space) <= set(rows)
