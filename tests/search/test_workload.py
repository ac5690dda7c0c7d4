import pytest

from pipeline.config.strategies import Strategy
from pipeline.search.workload import ITERATIONS, FeaturePass, Step, Unit
from tests.support.workloads import COUNTS, ROW, costs, work

LOOKS = (8 - 1 + 2) * COUNTS.valid  # one view each epoch, and two after the last
LOGISTIC = {"recipe": {**ROW["recipe"], "cut": "head"}, "space": {"head": {"choices": ["logistic", "mlp"]},
            "dropout": {"low": 0.0, "high": 0.5}, "learning_rate": {"low": 0.1, "high": 0.2}}, "trials": 8}  # fmt: skip


def of(steps, stage):
    return [step for step in steps if step.stage == stage]


def test_a_training_goes_through_its_images_each_epoch_and_looks_at_those_of_validation():
    (unit, other), second = (step.units for step in of(work(), "tune"))
    assert (unit.trained, unit.looked, unit.fitted) == (8 * 100, LOOKS, 0)
    assert len(second) == 2
    assert unit.cost(costs) == other.cost(costs) == 800 + LOOKS / 10


def test_retrainings_open_the_test_split_and_fewer_images_have_more_epochs():
    (minimum,), (seed,) = of(work(), "train"), of(work(), "race")
    assert len(minimum.units) == 6
    assert len(seed.units) == 1
    whole, part = minimum.units[0], minimum.units[-1]
    assert (whole.trained, whole.looked) == (800, LOOKS + 2 * COUNTS.test)
    assert (part.trained, part.looked) == (16 * 25, 2 * COUNTS.valid + 2 * COUNTS.test)
    assert (whole.epochs, part.epochs) == (8, 16)


def test_a_recipe_that_differs_in_nothing_is_trained_once():
    steps = work(LOGISTIC)
    alone = [unit for step in of(steps, "tune") for unit in step.units if unit.recipes[0].head == "logistic"]
    assert [(unit.trained, unit.fitted) for unit in alone] == [(0, 100 * 4 * ITERATIONS)]
    assert sum(step.trials for step in steps) == 8


def test_the_search_ends_where_the_next_round_would_leave_its_budget():
    one = 800 + LOOKS / 10 + 5 * COUNTS.dev * 4
    assert sum(step.trials for step in work(search={"budget": 2})) == 4  # features are most of a training
    trials = [sum(s.trials for s in work(row={"trials": 60}, search={"budget": b})) for b in (2, 4, None)]
    assert trials == [int(b * one / (800 + LOOKS / 10) // 2 * 2) for b in (2, 4)] + [60]


def test_pruned_trials_go_no_further():
    first, last, *_ = of(work({"rungs": [4]}), "tune")
    assert [(len(step.units), step.units[0].trained) for step in (first, last)] == [(2, 400), (1, 400)]
    assert (first.trials, last.trials) == (2, 0)
    assert first.units[0].looked + last.units[0].looked == LOOKS


def test_the_best_by_proxy_are_trained_again_with_the_whole_recipe():
    small = {"proxy": {"image_size": 32, "epochs": 2}, "confirm": 1}
    *tried, confirmed = of(work(small), "tune")
    assert tried[0].units[0].trained == 200
    assert (confirmed.units[0].trained, confirmed.units[0].recipes[0].image_size) == (800, 64)
    assert of(work(small), "train")[0].units[0].recipes[0].image_size == 64


def test_features_are_made_once_for_each_network_and_shared():
    known = set()
    steps = work({"recipe": {**ROW["recipe"], "probe": True}}, known=known)
    made = [(step.stage, each.at, each.images, each.stored) for step in steps for each in step.passes]
    dev, test = COUNTS.dev * 4, COUNTS.test * 2
    assert made == [("tune", 7, dev, dev * 11), ("train", 5, test, test * 10)]
    assert [each for step in work(known=known) for each in step.passes] == []
    assert work({"recipe": {**ROW["recipe"], "cut": "input"}})[0].passes == ()


@pytest.mark.parametrize(("workers", "seconds"), [(1, 8), (2, 5), (3, 3), (100, 3)])
def test_units_share_the_workers_and_wait_for_passes(workers, seconds):
    recipe = Strategy(**ROW).full_recipe({"learning_rate": 0.1})
    units = tuple(Unit((recipe,), trained, 0, 0, 1) for trained in (3, 3, 2))
    assert Step("tune", units).seconds(costs, workers) == seconds
    assert Step("tune", units, (FeaturePass(recipe, 5, 2, 0),)).seconds(costs, workers) == 2 * 5 + seconds
    assert Step("tune", ()).seconds(costs, workers) == 0
