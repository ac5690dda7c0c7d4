import pytest
from hypothesis import given

from pipeline.config.constraints import Constraints
from pipeline.verdict.changes import changes
from pipeline.verdict.decision import decide
from pipeline.verdict.sentences.changes import change_sentence
from tests.support.example import comparison, timings
from tests.support.worlds import limits, measured, worlds

CHEAP, DEAR = {"train_flops": 1e12}, {"train_flops": 4e12}
TIED = {"a": CHEAP | {"accuracy": 0.86}, "b": DEAR | {"accuracy": 0.87}}
APART = {"a": CHEAP | {"accuracy": 0.8}, "b": DEAR | {"accuracy": 0.9}}
MINUS = "\N{MINUS SIGN}"


def said(compared, constraints, timed=None):
    decision = decide(compared, Constraints(**constraints), timed)
    return [change_sentence(change, decision) for change in changes(decision)]


def crossing(**changes):
    return {("a", "b"): {"outcome": "beyond", "leader": "a", "overtaker": "b", "images": 6400.0,
                         "ci": [4000.0, 12000.0], "crossings": 1, **changes}}  # fmt: skip


AHEAD = {"a": CHEAP | {"accuracy": 0.9}, "b": DEAR | {"accuracy": 0.8}}


@pytest.mark.parametrize(
    ("rows", "kwargs", "constraints", "texts"),
    [
        ({"a": CHEAP}, {}, {}, []),
        (AHEAD, {}, {}, []),
        (AHEAD, {"crossings": crossing()}, {},
         ["With 4.0 times the images (about 6,400; 95 %: 4,000 to 12,000) b would be level with a."]),
        (AHEAD, {"crossings": crossing(outcome="inside", overtaker="a", images=800.0, ci=[500.0, 900.0])}, {},
         ["With fewer images (about 800; 95 %: 500 to 900) b would be level with a, with fewer still ahead."]),
        (TIED, {"crossings": crossing(outcome="inside", leader="b", images=800.0)}, {},  # overtaken already
         [f"If accuracy alone counted: b, +1.0 points accuracy (95 %: {MINUS}0.8 to 2.8), but it cannot be told from a "
          "(P = 0.86)."]),
        (AHEAD, {"crossings": crossing()}, {"images": 3200},
         ["Learning curves: b catches up with a at about 6,400 images (95 %: 4,000 to 12,000)."]),
        (AHEAD, {"crossings": crossing()}, {"images": 800},
         ["With 8.0 times the images (about 6,400; 95 %: 4,000 to 12,000) b would be level with a."]),
        (AHEAD, {"crossings": crossing(outcome="never", overtaker=None, images=None, ci=None, crossings=0)}, {}, []),
        (AHEAD, {"crossings": crossing()}, {"train_flops": 2e12}, []),
        (TIED, {}, {},
         [f"If accuracy alone counted: b, +1.0 points accuracy (95 %: {MINUS}0.8 to 2.8), but it cannot be told from a "
          "(P = 0.86)."]),
        (APART, {}, {},
         ["If the cost of training alone counted: a, 1 T FLOPs in place of 4 T FLOPs, "
          f"{MINUS}10.0 points accuracy (95 %: {MINUS}11.8 to {MINUS}8.2)."]),
        ({"a": CHEAP | {"accuracy": 0.9, "valid": 0.7}, "b": DEAR | {"accuracy": 0.8, "valid": 0.8}}, {}, {},
         [f"If accuracy alone counted: b, {MINUS}10.0 points accuracy (95 %: {MINUS}11.8 to {MINUS}8.2), but on test a "
          "is told better."]),
        (APART, {"metric": "log_loss"}, {"latency_ms": 7},
         ["If latency of 10 ms were allowed (now 7 ms): b, log loss 0.100 lower (95 %: 0.082 to 0.118), told better "
          "than a."]),
        (APART, {}, {"latency_ms": 7},
         ["If latency of 10 ms were allowed (now 7 ms): b, +10.0 points accuracy (95 %: 8.2 to 11.8), told better than "
          "a."]),
        (TIED, {}, {"latency_ms": 7},
         [f"If latency of 10 ms were allowed (now 7 ms): b, +1.0 points accuracy (95 %: {MINUS}0.8 to 2.8), a "
          "difference that cannot be told (P = 0.86): the advice would stay."]),
        (TIED, {}, {"min_accuracy": 0.865},
         [f"If accuracy of 86.0 % were enough (now 86.5 %): a, {MINUS}1.0 points accuracy (95 %: {MINUS}2.8 to 0.8), a "
          "difference that cannot be told (P = 0.86), and 4.0 times cheaper to train."]),
        (TIED, {}, {"latency_ms": 3, "min_accuracy": 0.9},
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
    assert said(comparison(rows, **kwargs), constraints, timings(["a", "b"])) == texts


@given(worlds(), limits())
def test_changes_speak_of_no_strategy_that_is_not_there(compared, constraints):
    decision = decide(compared, constraints, measured(compared))
    for change in changes(decision):
        text = change_sentence(change, decision)
        assert text.endswith(".")
        assert any(name in text for name in compared.strategies)


def test_nothing_is_said_of_what_has_to_be_measured_first():
    assert said(comparison(TIED), {"latency_ms": 20}) == []


def test_intervals_are_named_by_their_confidence():
    compared = comparison(TIED, crossings=crossing(), confidence=0.8)
    texts = said(compared, {"images": 800}) + said(compared, {"min_accuracy": 0.865})
    assert sum("80 %: " in text for text in texts) >= 2
    assert not any("95 %" in text for text in texts)
