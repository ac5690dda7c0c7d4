import ast
import json
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.constraints import Constraints
from pipeline.config.metric_names import METRICS
from pipeline.verdict.advice import advise, conclude, reason, sentence
from pipeline.verdict.changes import changes
from pipeline.verdict.decision import decide
from pipeline.verdict.pairwise import lead, told, train_flops
from tests.support.example import CLASSES, comparison, timings
from tests.support.imports import PACKAGE
from tests.support.worlds import limits, measured, worlds

CHEAP, DEAR = {"train_flops": 1e12}, {"train_flops": 4e12}
LEVEL = {"a": CHEAP | {"accuracy": 0.86}, "b": DEAR | {"accuracy": 0.87}}
TOLD = {"a": CHEAP | {"accuracy": 0.8}, "b": DEAR | {"accuracy": 0.9}}
MINUS = "\N{MINUS SIGN}"


def said(rows, constraints=None, timed=None, **kwargs):
    return advise(comparison(rows, **kwargs), Constraints(**(constraints or {})), timed)


def sentences(text):
    return re.split(r"(?<=\.) ", text)


# The rules


@pytest.mark.parametrize(
    ("constraints", "admissible", "recommended"),
    [
        ({}, ["finetune", "frozen", "scratch"], "frozen"),
        ({"train_flops": 4.5e12}, ["finetune", "frozen"], "frozen"),
        ({"min_accuracy": 0.87}, ["finetune"], "finetune"),
        ({"min_accuracy": 0.864}, ["finetune", "frozen"], "frozen"),  # the mean meets it, the interval does not
        ({"model_mb": 2}, ["scratch"], "scratch"),
        ({"latency_ms": 15}, ["finetune", "frozen"], "frozen"),
        ({"train_minutes": 1.5}, ["finetune", "frozen"], "frozen"),
        ({"min_recall": {CLASSES[0]: 0.85}}, ["finetune", "frozen"], "frozen"),
        ({"model_mb": 2, "min_accuracy": 0.87}, [], None),
    ],
)
def test_of_those_that_meet_every_limit_the_cheapest_that_none_of_them_beats(constraints, admissible, recommended):
    found = said(None, constraints, timings(["finetune", "frozen", "scratch"]))
    assert (found["admissible"], found["recommended"]) == (admissible, recommended)
    assert sorted([*found["admissible"], *found["excluded"]]) == ["finetune", "frozen", "scratch"]
    assert all(found["excluded"].values())
    assert found["constraints"] == constraints


def test_there_is_a_front_for_training_and_one_for_prediction():
    found = said(None)
    assert (found["front"], found["front_predict"]) == (["frozen", "finetune"], ["scratch", "finetune"])


def test_what_was_measured_is_nearer_than_what_was_not():
    timed = {"b": timings("b")["b"]}
    assert "The nearest is b," in said(LEVEL, {"latency_ms": 3, "min_accuracy": 0.9}, timed)["reason"]
    assert "The nearest is b," in said(LEVEL, {"latency_ms": 3, "train_flops": 1e12}, timed)["reason"]


def test_a_strategy_that_is_shut_out_beats_nobody():
    assert said(TOLD)["recommended"] == "b"
    assert said(TOLD, {"train_flops": 2e12})["recommended"] == "a"


@given(worlds(), limits())
def test_whatever_is_asked_the_advice_is_within_the_rules(compared, constraints):
    decision = decide(compared, constraints, measured(compared))
    found = advise(compared, constraints, measured(compared))
    own = found["recommended"]
    assert (own is None) == (not found["admissible"])
    assert set(found["admissible"]) | set(found["excluded"]) == set(compared["strategies"])
    assert found["front"]
    assert found["front_predict"]
    if own is not None:
        assert not any(lead(decision.comparison, name, own).told for name in found["admissible"] if name != own)
        assert found["told"] <= told(decision.comparison, own, found["admissible"])
    json.dumps(found, allow_nan=False)


@given(worlds(), limits(images=st.none()))
def test_limits_do_not_move_the_front(compared, constraints):
    assert advise(compared, constraints, measured(compared))["front"] == advise(compared)["front"]


@given(worlds(), limits(), st.randoms(use_true_random=False))
def test_the_order_of_strategies_pairs_and_crossings_does_not_matter(compared, constraints, source: random.Random):
    shuffled = {**compared}
    shuffled["strategies"] = dict(source.sample(list(compared["strategies"].items()), len(compared["strategies"])))
    for key in ("pairs", "crossovers"):
        shuffled[key] = source.sample(compared[key], len(compared[key]))
    timed = measured(compared)
    before, after = (advise(c, constraints, timed) for c in (compared, shuffled))
    assert sorted(after.pop("changes")) == sorted(before.pop("changes"))
    assert after == before
    assert conclude(shuffled) == conclude(compared)


# The reason


@pytest.mark.parametrize(
    ("rows", "constraints", "text"),
    [
        ({"a": CHEAP}, {},
         "a is the only strategy compared: accuracy 85.0 % on test (95 %: 82.5 to 87.5 %), for 1 T FLOPs of training. "
         "There is nothing to compare it with."),
        (LEVEL, {},
         "a is the cheapest to train of the 2 strategies that no other is told to beat: accuracy 86.0 % on test (95 %: "
         "83.5 to 88.5 %), for 1 T FLOPs of training. It cannot be told from b, which is 1.0 points ahead (95 %: "
         f"{MINUS}0.8 to 2.8; corrected p = 0.276), at 4.0 times its training FLOPs."),
        (TOLD, {},
         "b is told better than the other one: accuracy 90.0 % on test (95 %: 87.5 to 92.5 %), for 4 T FLOPs of "
         "training. The next best, a, is 10.0 points behind (95 %: 8.2 to 11.8; corrected p < 0.001), at 0.25 times "
         "its training FLOPs."),
        ({"a": CHEAP, "b": DEAR}, {},
         "a is the cheapest to train of the 2 strategies that no other is told to beat: accuracy 85.0 % on test (95 %: "
         "82.5 to 87.5 %), for 1 T FLOPs of training. It cannot be told from b, which is level with it, at 4.0 times "
         "its training FLOPs."),
        (TOLD, {"train_flops": 2e12},
         "a alone meets the constraints: accuracy 80.0 % on test (95 %: 77.5 to 82.5 %), for 1 T FLOPs of training. Of "
         "the others b is the best, and out: training 4 T FLOPs is over the limit of 2 T FLOPs."),
        (LEVEL, {"min_accuracy": 0.865},
         "b alone meets the constraints: accuracy 87.0 % on test (95 %: 84.5 to 89.5 %), for 4 T FLOPs of training; "
         "its mean accuracy meets the limit of 86.5 %, but the interval reaches down to 84.5 %. Of the others a is "
         "the best, and out: accuracy 86.0 % is below the limit of 86.5 %, but the interval reaches it (83.5 % to "
         "88.5 %)."),
        (LEVEL, {"latency_ms": 3},
         "No strategy meets the constraints. The nearest is a, with accuracy 86.0 % on test (95 %: 83.5 to 88.5 %): "
         "loosen latency_ms to 5 ms."),
        (LEVEL, {"latency_ms": 7, "min_accuracy": 0.99},
         "No strategy meets the constraints. The nearest is a, with accuracy 86.0 % on test (95 %: 83.5 to 88.5 %): "
         "loosen min_accuracy to 86.0 %."),
        ({**LEVEL, "c": DEAR | {"accuracy": 0.5}}, {"min_accuracy": 0.6},
         "a is the cheapest to train of the 2 strategies that meet the constraints and that no other of these is told "
         "to beat: accuracy 86.0 % on test (95 %: 83.5 to 88.5 %), for 1 T FLOPs of training. It cannot be told from "
         f"b, which is 1.0 points ahead (95 %: {MINUS}0.8 to 2.8; corrected p = 0.276), at 4.0 times its training "
         "FLOPs."),
        (LEVEL, {"images": 400},
         "With 400 training images, a is the cheapest to train of the 2 strategies that no other is told to beat: "
         "accuracy 82.0 % on test (95 %: 79.5 to 84.5 %), for 400 G FLOPs of training. It cannot be told from b, which "
         f"is 1.0 points ahead (95 %: {MINUS}2.5 to 4.5; corrected p = 0.579), at 4.0 times its training FLOPs."),
    ],
)  # fmt: skip
def test_the_reason_is_told_in_two_sentences(rows, constraints, text):
    found = said(rows, constraints, timings(["a", "b", "c"]))
    assert found["reason"] == text


@pytest.mark.parametrize(
    ("images", "start"),
    [
        (500, "With 500 training images (between measured points), a is"),
        (1600, "With 1,600 training images, a is"),
        (9000, "Nothing was measured with more than 1,600 training images; with these, a is"),
        (9, "Nothing was measured with fewer than 160 training images; with these, a is"),
    ],
)
def test_the_reason_says_what_was_measured(images, start):
    found = said({"a": CHEAP | {"accuracy": 0.95}, "b": DEAR | {"accuracy": 0.7}}, {"images": images})
    assert found["reason"].startswith(start)
    assert found["told"] == (images in (500, 1600))


def test_without_curves_the_number_of_images_cannot_be_answered_for():
    compared = comparison(LEVEL)
    for strategy in compared["strategies"].values():
        del strategy["curve"]
    found = advise(compared, Constraints(images=400))
    assert found["reason"].startswith("No learning curve was measured; with all images, a is")
    assert not found["told"]


def test_what_has_to_be_measured_is_named():
    found = said(LEVEL, {"latency_ms": 20})
    assert found["reason"].endswith(": its latency has to be measured first (latency_ms).")
    assert found["excluded"]["a"] == ["latency was not measured (limit: 20 ms)"]
    assert found["changes"] == []


@given(worlds(), limits())
def test_the_reason_always_has_two_sentences(compared, constraints):
    text = reason(decide(compared, constraints, measured(compared)))
    assert len(sentences(text)) == 2
    assert all(part[-1] == "." for part in sentences(text))


@given(worlds(), limits(train_flops=st.none()))
def test_sentences_take_their_costs_from_the_comparison(compared, constraints):
    """A thousand times the cost is another prefix, and nothing else."""
    dearer = json.loads(json.dumps(compared))
    for strategy in dearer["strategies"].values():
        strategy["cost"]["train_flops"] *= 1000
        for point in strategy["curve"]:
            point["train_flops"] *= 1000
    timed = measured(compared)
    before, after = (
        " ".join([reason(d), *changes(d), sentence(d.measured, conclude(d.measured)["recommended"])])
        for d in (decide(c, constraints, timed) for c in (compared, dearer))
    )
    prefix = {"M": "G", "G": "T", "T": "P"}
    assert after == re.sub(r"(\d) ([MGT]) FLOPs", lambda m: f"{m[1]} {prefix[m[2]]} FLOPs", before)


def test_no_number_of_a_sentence_is_typed():
    for name in ("changes", "advice", "claims", "claim_cases", "decision"):
        tree = ast.parse((PACKAGE / "verdict" / f"{name}.py").read_text(encoding="utf-8"))
        formats = [n.format_spec for n in ast.walk(tree) if isinstance(n, ast.FormattedValue)]
        told = [f for f in ast.walk(tree) if isinstance(f, ast.JoinedStr) and f not in formats]
        pieces = [n for f in told for n in f.values]
        typed = [p.value.replace("95 %: ", "") for p in pieces if isinstance(p, ast.Constant)]
        assert [text for text in typed if re.search(r"\d", text)] == [], name


# What would change it


def crossing(**changes):
    return {("a", "b"): {"outcome": "beyond", "leader": "a", "images": 6400.0, "ci95": [4000.0, 12000.0],
                         "sentence": "b catches up with a at about 6,400 images", **changes}}  # fmt: skip


AHEAD = {"a": CHEAP | {"accuracy": 0.9}, "b": DEAR | {"accuracy": 0.8}}


@pytest.mark.parametrize(
    ("rows", "kwargs", "constraints", "texts"),
    [
        ({"a": CHEAP}, {}, {}, []),
        (AHEAD, {}, {}, []),
        (AHEAD, {"crossings": crossing()}, {},
         ["With 4.0 times the images (about 6,400; 95 %: 4,000 to 12,000) b would be level with a."]),
        (AHEAD, {"crossings": crossing(ci95=None)}, {},
         ["With 4.0 times the images (about 6,400) b would be level with a."]),
        (AHEAD, {"crossings": crossing(outcome="inside", images=800.0, ci95=[500.0, 900.0])}, {},
         ["With fewer images (about 800; 95 %: 500 to 900) b would be level with a, with fewer still ahead."]),
        (LEVEL, {"crossings": crossing(outcome="inside", leader="b", images=800.0)}, {},  # overtaken already
         [f"If accuracy alone counted: b, +1.0 points accuracy (95 %: {MINUS}0.8 to 2.8), but it cannot be told from a "
          "(P = 0.86)."]),
        (AHEAD, {"crossings": crossing()}, {"images": 3200},
         ["Learning curves: b catches up with a at about 6,400 images."]),
        (AHEAD, {"crossings": crossing()}, {"images": 800},
         ["With 8.0 times the images (about 6,400; 95 %: 4,000 to 12,000) b would be level with a."]),
        (AHEAD, {"crossings": crossing(outcome="never", images=None)}, {}, []),
        (AHEAD, {"crossings": crossing()}, {"train_flops": 2e12}, []),
        (LEVEL, {}, {},
         [f"If accuracy alone counted: b, +1.0 points accuracy (95 %: {MINUS}0.8 to 2.8), but it cannot be told from a "
          "(P = 0.86)."]),
        (TOLD, {}, {},
         ["If the cost of training alone counted: a, 1 T FLOPs in place of 4 T FLOPs, "
          f"{MINUS}10.0 points accuracy (95 %: {MINUS}11.8 to {MINUS}8.2)."]),
        ({"a": CHEAP | {"accuracy": 0.9, "valid": 0.7}, "b": DEAR | {"accuracy": 0.8, "valid": 0.8}}, {}, {},
         [f"If accuracy alone counted: b, {MINUS}10.0 points accuracy (95 %: {MINUS}11.8 to {MINUS}8.2), but on test a "
          "is told better."]),
        (TOLD, {"metric": "log_loss"}, {"latency_ms": 7},
         ["If latency of 10 ms were allowed (now 7 ms): b, log loss 0.100 lower (95 %: 0.082 to 0.118), told better "
          "than a."]),
        (TOLD, {}, {"latency_ms": 7},
         ["If latency of 10 ms were allowed (now 7 ms): b, +10.0 points accuracy (95 %: 8.2 to 11.8), told better than "
          "a."]),
        (LEVEL, {}, {"latency_ms": 7},
         [f"If latency of 10 ms were allowed (now 7 ms): b, +1.0 points accuracy (95 %: {MINUS}0.8 to 2.8), a "
          "difference that cannot be told (P = 0.86): the advice would stay."]),
        (LEVEL, {}, {"min_accuracy": 0.865},
         [f"If accuracy of 86.0 % were enough (now 86.5 %): a, {MINUS}1.0 points accuracy (95 %: {MINUS}2.8 to 0.8), a "
          "difference that cannot be told (P = 0.86), and 4.0 times cheaper to train."]),
        (LEVEL, {}, {"latency_ms": 3, "min_accuracy": 0.9},
         ["If latency of 10 ms were allowed (now 3 ms) and accuracy of 87.0 % were enough (now 90.0 %): b, at accuracy "
          "87.0 %.",
          "If latency of 5 ms were allowed (now 3 ms) and accuracy of 86.0 % were enough (now 90.0 %): a, at accuracy "
          "86.0 %."]),
        ({"a": CHEAP | {"recalls": {"ash": 0.0}}}, {}, {"min_recall": {"ash": 0.5}},
         ["If the recall of ash did not matter: a, at accuracy 85.0 %."]),
        ({"a": CHEAP | {"accuracy": 0.8, "slope": 0.0}, "b": DEAR | {"accuracy": 0.9, "slope": 0.1}}, {}, {},
         ["With 800 training images the advice would be a.",
          "If the cost of training alone counted: a, 1 T FLOPs in place of 4 T FLOPs, "
          f"{MINUS}10.0 points accuracy (95 %: {MINUS}11.8 to {MINUS}8.2)."]),
    ],
)  # fmt: skip
def test_what_would_change_the_advice(rows, kwargs, constraints, texts):
    assert said(rows, constraints, timings(["a", "b"]), **kwargs)["changes"] == texts


@given(worlds(), limits())
def test_changes_speak_of_no_strategy_that_would_not_matter(compared, constraints):
    decision = decide(compared, constraints, measured(compared))
    for text in changes(decision):
        assert text.endswith(".")
        assert any(name in text for name in compared["strategies"])


# The sentence


@pytest.mark.parametrize(
    ("rows", "kwargs", "text"),
    [
        ({"a": CHEAP}, {},
         "a is best on validation; on test its accuracy is 85.0 % (95 %: 82.5 to 87.5 %). There is nothing to compare "
         "it with."),
        (LEVEL, {},
         "b is best on validation; on test its accuracy is 87.0 % (95 %: 84.5 to 89.5 %); it cannot be told from a (P "
         "= 0.86). Use a, the cheapest to train that no other is told to beat: 1 T FLOPs of training, the least of "
         "all."),
        (TOLD, {},
         "b is best on validation; on test its accuracy is 90.0 % (95 %: 87.5 to 92.5 %); it beats a (P > 0.99). Use "
         "b: 4 T FLOPs of training, 4.0 times that of a."),
        (TOLD, {"metric": "log_loss"},
         "b is best on validation; on test its log loss is 0.200 (95 %: 0.175 to 0.225); it beats a (P > 0.99). Use "
         "b: 4 T FLOPs of training, 4.0 times that of a."),
        ({"a": CHEAP | {"valid": 0.9}, "b": DEAR | {"accuracy": 0.95, "valid": 0.8}}, {},
         "a is best on validation; on test its accuracy is 85.0 % (95 %: 82.5 to 87.5 %); there it is beaten by b (P < "
         "0.01). Validation and test disagree. Use b, the cheapest to train that no other is told to beat: 4 T FLOPs "
         "of training, 4.0 times that of a."),
        ({name: {"train_flops": (n + 1) * 1e12, "accuracy": 0.8 - 0.001 * n} for n, name in enumerate("abcdefgh")}, {},
         "a is best on validation; on test its accuracy is 80.0 % (95 %: 77.5 to 82.5 %); it cannot be told from b, c, "
         "d, e, f, g and h (P = 0.54 to 0.78). Use a: 1 T FLOPs of training, the least of all."),
    ],
)  # fmt: skip
def test_the_sentence_says_who_is_best_whom_it_beats_and_what_to_use_at_what_price(rows, kwargs, text):
    assert comparison(rows, **kwargs)["verdict"] == text


@given(worlds())
def test_the_sentence_places_every_strategy_and_ends_with_the_advice(compared):
    head, *rest = sentences(compared["verdict"])
    assert all(re.search(rf"\b{name}\b", head) for name in compared["strategies"])
    assert f" {compared['recommended']}" in rest[-1] or len(compared["strategies"]) == 1


@pytest.mark.parametrize("metric", METRICS)
def test_told_is_better_than_each_other(metric):
    assert comparison(TOLD, metric=metric)["told"]
    assert not comparison(LEVEL, metric=metric)["told"]
    assert not comparison({"a": CHEAP}, metric=metric)["told"]


def test_cost_of_nothing_does_no_harm():
    compared = comparison({"a": {"train_flops": 0.0}, "b": DEAR | {"accuracy": 0.95}})
    assert train_flops(compared, "a") == 0
    assert "4 T FLOPs" in advise(compared)["reason"]
