import pytest

from pipeline.common.errors import UserError
from pipeline.config.constraints import Constraints
from pipeline.verdict.decision import decide
from tests.support.example import CLASSES, comparison, timings

CHEAP, DEAR, DEARER = {"train_flops": 1e12}, {"train_flops": 4e12}, {"train_flops": 9e12}
APART = {"a": CHEAP | {"accuracy": 0.8}, "b": DEAR | {"accuracy": 0.9}}


def made(rows, constraints=None, timed=None):
    return decide(comparison(rows), Constraints(**(constraints or {})), timed)


@pytest.mark.parametrize(
    ("constraints", "admissible", "recommended"),
    [
        ({}, ["finetune", "frozen", "scratch"], "finetune"),
        ({"train_flops": 4.5e12}, ["finetune", "frozen"], "finetune"),
        ({"train_flops": 3e12}, ["frozen"], "frozen"),
        ({"min_accuracy": 0.87}, ["finetune"], "finetune"),
        ({"min_accuracy": 0.864}, ["finetune", "frozen"], "finetune"),  # the mean meets it, the interval does not
        ({"model_mb": 2}, ["scratch"], "scratch"),
        ({"latency_ms": 15}, ["finetune", "frozen"], "finetune"),
        ({"train_minutes": 1.5}, ["finetune", "frozen"], "finetune"),
        ({"min_recall": {CLASSES[0]: 0.85}}, ["finetune", "frozen"], "finetune"),
        ({"model_mb": 2, "min_accuracy": 0.87}, [], None),
    ],
)
def test_of_those_that_meet_every_limit_one_is_recommended(constraints, admissible, recommended):
    found = made(None, constraints, timings(["finetune", "frozen", "scratch"]))
    assert (found.admissible, found.recommended) == (admissible, recommended)
    assert sorted([*found.admissible, *found.excluded]) == ["finetune", "frozen", "scratch"]
    assert all(found.unmet(name) for name in found.excluded)


def test_a_strategy_that_is_shut_out_beats_nobody():
    assert made(APART).recommended == "b"
    assert made(APART, {"train_flops": 2e12}).recommended == "a"


@pytest.mark.parametrize(
    ("rows", "basis", "rivals"),
    [
        ({"a": CHEAP}, "alone", []),
        (APART, "only_within", ["a"]),
        ({"a": CHEAP | {"accuracy": 0.869}, "b": DEAR | {"accuracy": 0.87}}, "within_worth", ["b"]),
        (APART | {"c": DEARER | {"accuracy": 0.902}}, "within_worth", ["c", "a"]),
    ],
)
def test_a_decision_knows_on_what_it_rests_and_names_the_others_the_best_first(rows, basis, rivals):
    found = made(rows)
    assert (found.basis, found.rivals) == (basis, rivals)


@pytest.mark.parametrize(("images", "significant"), [(500, True), (1600, True), (9, False), (9000, False)])
def test_out_of_the_measured_range_nothing_is_significant(images, significant):
    rows = {"a": CHEAP | {"accuracy": 0.95}, "b": DEAR | {"accuracy": 0.7}}
    assert made(rows, {"images": images}).significant == significant


def test_a_limit_that_is_dropped_is_decided_anew():
    strict = made(APART, {"train_flops": 2e12})
    assert strict.under(Constraints()).recommended == "b"
    assert strict.recommended == "a"


def test_a_recall_asked_of_no_class_is_refused():
    with pytest.raises(UserError, match=r"constraints\.min_recall: no class is called elm"):
        made(None, {"min_recall": {"elm": 0.5}})
