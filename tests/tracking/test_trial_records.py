from dataclasses import replace

from pipeline.common.outcome import Cost, Epoch, Outcome
from pipeline.search.trials import FinishedTrial
from pipeline.tracking.trial_records import trial_record
from tests.support.units import recipe

COST = Cost({"a stem": 1000}, fit_flops=20, predict_flops=3, parameters=5, trainable_parameters=4)
TRIAL = FinishedTrial(7, "PRUNED", recipe(), {"dropout": 0.1}, Outcome([Epoch(1, 0.5, {"log_loss": 0.6})], COST))


def test_a_trial_is_shown_with_its_whole_recipe_its_epochs_and_its_costs():
    found = trial_record(TRIAL, "heads", {"stage": "tune"})
    assert (found.key, found.name) == ("trial-7", "heads trial 7")
    assert found.params == recipe().model_dump() | {"strategy": "heads"}
    assert found.epochs == TRIAL.outcome.epochs
    assert found.metrics["train_flops"] == 1020
    assert found.tags == {"stage": "tune", "backbone": "compact", "state": "PRUNED", "failed": ""}


def test_a_trial_that_failed_is_shown_with_its_reason_though_it_has_no_epoch():
    failed = replace(TRIAL, outcome=Outcome([], COST, "the loss became nan"))
    found = trial_record(failed, "heads", {})
    assert (found.epochs, found.tags["failed"]) == ([], "the loss became nan")
