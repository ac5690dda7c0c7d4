import re

import pytest
from hypothesis import given

from pipeline.config.constraints import Constraints
from pipeline.verdict.decision import decide
from pipeline.verdict.sentences.reason import reason
from tests.support.example import comparison, timings, with_better
from tests.support.worlds import limits, measured, worlds

CHEAP, DEAR = {"train_flops": 1e12}, {"train_flops": 4e12}
TIED = {"a": CHEAP | {"accuracy": 0.86}, "b": DEAR | {"accuracy": 0.87}}
APART = {"a": CHEAP | {"accuracy": 0.8}, "b": DEAR | {"accuracy": 0.9}}
MINUS = "\N{MINUS SIGN}"


def said(rows, constraints=None, timed=None, **kwargs):
    return reason(decide(comparison(rows, **kwargs), Constraints(**(constraints or {})), timed))


def sentences(text):
    return re.split(r"(?<=\.) ", text)


@pytest.mark.parametrize(
    ("rows", "constraints", "facts"),
    [
        ({"a": CHEAP}, {}, ["a is the only strategy compared: accuracy 85.0 %", "95 % CI 82.5 to 87.5 %", "1 T FLOPs"]),
        (TIED, {},
         ["a is the cheapest to train of the 2 strategies", "accuracy 86.0 % on test (95 % CI 83.5 to 88.5 %)",
          "1 T FLOPs per training", "from b is not significant", "b is 1.0 points ahead",
          f"(95 % CI {MINUS}0.8 to 2.8; corrected p = 0.276)", "costs 4.0 times as much"]),
        (APART, {},
         ["b is significantly better than a: accuracy 90.0 % on test (95 % CI 87.5 to 92.5 %), 4 T FLOPs",
          "next best, a, is 10.0 points behind (95 % CI 8.2 to 11.8; corrected p < 0.001)", "costs 0.25 times"]),
        ({"a": CHEAP, "b": DEAR}, {}, ["a is the cheapest", "b has the same score and costs 4.0 times"]),
        ({**APART, "c": DEAR}, {},
         ["b is significantly better than each of the 2 others", "next best, c, is 5.0 points behind"]),
        ({**TIED, "c": DEAR | {"accuracy": 0.865}}, {},
         ["a is the cheapest to train of the 3", "2 others are not significant; the best of these, b, is 1.0 points"]),
        ({"a": CHEAP | {"accuracy": 0.84}, "b": DEAR, "c": {"train_flops": 3e12, "accuracy": 0.87}}, {},
         ["c is the cheapest to train of the 2 strategies that none", "from b is not significant"]),
        (APART, {"train_flops": 2e12},
         ["a is the only strategy that meets the constraints: accuracy 80.0 %", "best of those that do not is b",
          "training cost is 4 T FLOPs, over the limit of 2 T FLOPs"]),
        (TIED, {"min_accuracy": 0.865},
         ["b is the only strategy that meets the constraints: accuracy 87.0 %",
          "mean accuracy meets the limit of 86.5 %, but the interval reaches down to 84.5 %",
          "best of those that do not is a: accuracy is 86.0 %, below the limit of 86.5 %"]),
        (TIED, {"latency_ms": 3},
         ["No strategy meets", "nearest is a, with accuracy 86.0 % on test", "loosen latency_ms to 5 ms"]),
        (TIED, {"latency_ms": 7, "min_accuracy": 0.99}, ["No strategy meets", "loosen min_accuracy to 86.0 %"]),
        ({**TIED, "c": DEAR | {"accuracy": 0.5}}, {"min_accuracy": 0.6},
         ["a is the cheapest to train of the 2 strategies that meet the constraints", "from b is not significant"]),
        ({**APART, "c": DEAR | {"accuracy": 0.5}}, {"min_accuracy": 0.6},
         ["b is significantly better than a, the only other that meets the constraints"]),
        ({**APART, "c": DEAR | {"accuracy": 0.7}, "d": CHEAP | {"accuracy": 0.5}}, {"min_accuracy": 0.6},
         ["b is significantly better than each of the 2 others that meet the constraints"]),
        (TIED, {"images": 400},
         ["With 400 training images, a is", "accuracy 82.0 %", "400 G FLOPs", "b is 1.0 points ahead",
          f"95 % CI {MINUS}2.5 to 4.5; corrected p = 0.579"]),
    ],
)  # fmt: skip
def test_the_reason_names_the_strategy_its_score_its_cost_and_the_next_one(rows, constraints, facts):
    text = said(rows, constraints, timings(["a", "b", "c", "d"]))
    assert [fact for fact in facts if fact not in text] == []


@pytest.mark.parametrize(
    ("better", "facts"),  # of the pairs a and b, a and c, b and c
    [
        (
            ("a", "c", "b"),
            ["a has the best validation score", "significantly worse than", "On test c is significantly"],
        ),
        (
            ("a", None, None),
            ["c is the cheapest to train of the 2", "2 others are not significant; the best of these, a"],
        ),
        (("a", None, "b"), ["a is the only one of the 3", "The difference from c is not significant"]),
    ],
)
@pytest.mark.parametrize("constraints", [{}, {"train_flops": 5e12}])
def test_the_reason_follows_from_what_is_significant(better, facts, constraints):
    rows = {"a": DEAR | {"valid": 0.9}, "b": DEAR, "c": CHEAP | {"accuracy": 0.86}, "d": {"train_flops": 9e12}}
    if not constraints:
        del rows["d"]
    compared = with_better(comparison(rows), better if not constraints else (*better[:2], None, better[2], None, None))
    text = reason(decide(compared, Constraints(**constraints)))
    assert [fact for fact in facts if fact not in text] == []
    assert ("meet the constraints" in text) == bool(constraints)


@pytest.mark.parametrize(
    ("images", "start"),
    [
        (500, "With 500 training images (interpolated"),
        (1600, "With 1,600 training images, a is"),
        (9000, "The most training images measured are 1,600; with these, a is"),
        (9, "The fewest training images measured are 160; with these, a is"),
    ],
)
def test_the_reason_says_what_was_measured(images, start):
    rows = {"a": CHEAP | {"accuracy": 0.95}, "b": DEAR | {"accuracy": 0.7}}
    assert said(rows, {"images": images}).startswith(start)


def test_without_curves_the_number_of_images_cannot_be_answered_for():
    assert said(TIED, {"images": 400}, fractions=(1.0,)).startswith(
        "No learning curve was measured; with all images, a is"
    )


def test_what_has_to_be_measured_is_named():
    assert said(TIED, {"latency_ms": 20}).endswith(": measure its latency first (latency_ms).")


def test_intervals_are_named_by_their_confidence():
    text = said(TIED, confidence=0.8)
    assert "(80 % CI 83.5 to 88.5 %)" in text
    assert "95 %" not in text


@given(worlds(), limits())
def test_the_reason_is_whole_sentences_about_the_recommended_strategy(compared, constraints):
    decision = decide(compared, constraints, measured(compared))
    text = reason(decision)
    assert 1 <= len(sentences(text)) <= 3 + len(constraints.min_recall) + (constraints.min_accuracy is not None)
    assert all(part[-1] == "." for part in sentences(text))
    assert re.search(rf"\b{decision.recommended or decision.nearest}\b", text)
