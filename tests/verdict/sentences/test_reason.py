import re

import pytest
from hypothesis import given

from pipeline.config.constraints import Constraints
from pipeline.verdict.decision import decide
from pipeline.verdict.sentences.reason import reason
from tests.support.example import comparison, timings
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
    ("rows", "constraints", "text"),
    [
        ({"a": CHEAP}, {},
         "a is the only strategy compared: accuracy 85.0 % on test (95 %: 82.5 to 87.5 %), for 1 T FLOPs of training. "
         "There is nothing to compare it with."),
        (TIED, {},
         "a is the cheapest to train of the 2 strategies that no other is told to beat: accuracy 86.0 % on test (95 %: "
         "83.5 to 88.5 %), for 1 T FLOPs of training. It cannot be told from b, which is 1.0 points ahead (95 %: "
         f"{MINUS}0.8 to 2.8; corrected p = 0.276), at 4.0 times its training FLOPs."),
        (APART, {},
         "b is told better than the other one: accuracy 90.0 % on test (95 %: 87.5 to 92.5 %), for 4 T FLOPs of "
         "training. The next best, a, is 10.0 points behind (95 %: 8.2 to 11.8; corrected p < 0.001), at 0.25 times "
         "its training FLOPs."),
        ({"a": CHEAP, "b": DEAR}, {},
         "a is the cheapest to train of the 2 strategies that no other is told to beat: accuracy 85.0 % on test (95 %: "
         "82.5 to 87.5 %), for 1 T FLOPs of training. It cannot be told from b, which is level with it, at 4.0 times "
         "its training FLOPs."),
        (APART, {"train_flops": 2e12},
         "a alone meets the constraints: accuracy 80.0 % on test (95 %: 77.5 to 82.5 %), for 1 T FLOPs of training. Of "
         "the others b is the best, and out: training 4 T FLOPs is over the limit of 2 T FLOPs."),
        (TIED, {"min_accuracy": 0.865},
         "b alone meets the constraints: accuracy 87.0 % on test (95 %: 84.5 to 89.5 %), for 4 T FLOPs of training; "
         "its mean accuracy meets the limit of 86.5 %, but the interval reaches down to 84.5 %. Of the others a is "
         "the best, and out: accuracy 86.0 % is below the limit of 86.5 %, but the interval reaches it (83.5 % to "
         "88.5 %)."),
        (TIED, {"latency_ms": 3},
         "No strategy meets the constraints. The nearest is a, with accuracy 86.0 % on test (95 %: 83.5 to 88.5 %): "
         "loosen latency_ms to 5 ms."),
        (TIED, {"latency_ms": 7, "min_accuracy": 0.99},
         "No strategy meets the constraints. The nearest is a, with accuracy 86.0 % on test (95 %: 83.5 to 88.5 %): "
         "loosen min_accuracy to 86.0 %."),
        ({**TIED, "c": DEAR | {"accuracy": 0.5}}, {"min_accuracy": 0.6},
         "a is the cheapest to train of the 2 strategies that meet the constraints and that no other of these is told "
         "to beat: accuracy 86.0 % on test (95 %: 83.5 to 88.5 %), for 1 T FLOPs of training. It cannot be told from "
         f"b, which is 1.0 points ahead (95 %: {MINUS}0.8 to 2.8; corrected p = 0.276), at 4.0 times its training "
         "FLOPs."),
        (TIED, {"images": 400},
         "With 400 training images, a is the cheapest to train of the 2 strategies that no other is told to beat: "
         "accuracy 82.0 % on test (95 %: 79.5 to 84.5 %), for 400 G FLOPs of training. It cannot be told from b, which "
         f"is 1.0 points ahead (95 %: {MINUS}2.5 to 4.5; corrected p = 0.579), at 4.0 times its training FLOPs."),
    ],
)  # fmt: skip
def test_the_reason_is_told_in_two_sentences(rows, constraints, text):
    assert said(rows, constraints, timings(["a", "b", "c"])) == text


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
    rows = {"a": CHEAP | {"accuracy": 0.95}, "b": DEAR | {"accuracy": 0.7}}
    assert said(rows, {"images": images}).startswith(start)


def test_without_curves_the_number_of_images_cannot_be_answered_for():
    assert said(TIED, {"images": 400}, fractions=(1.0,)).startswith(
        "No learning curve was measured; with all images, a is"
    )


def test_what_has_to_be_measured_is_named():
    assert said(TIED, {"latency_ms": 20}).endswith(": its latency has to be measured first (latency_ms).")


def test_intervals_are_named_by_their_confidence():
    text = said(TIED, confidence=0.8)
    assert "(80 %: 83.5 to 88.5 %)" in text
    assert "95 %" not in text


@given(worlds(), limits())
def test_the_reason_always_has_two_sentences(compared, constraints):
    text = reason(decide(compared, constraints, measured(compared)))
    assert len(sentences(text)) == 2
    assert all(part[-1] == "." for part in sentences(text))
