import pytest
from hypothesis import given

from pipeline.config.constraints import Constraints
from pipeline.verdict.changes import changes
from pipeline.verdict.decision import decide
from pipeline.verdict.sentences.changes import change_sentence
from tests.support.example import comparison, timings
from tests.support.worlds import limits, measured, worlds

CHEAP, DEAR = {"train_flops": 1e12}, {"train_flops": 4e12}
TIED = {"a": CHEAP | {"accuracy": 0.869}, "b": DEAR | {"accuracy": 0.87}}
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
    ("rows", "kwargs", "constraints", "changes_facts"),
    [
        ({"a": CHEAP}, {}, {}, []),
        (AHEAD, {}, {}, []),
        (AHEAD, {"crossings": crossing()}, {},
         [["With 4.0 times the images (about 6,400; 95 % CI 4,000 to 12,000), b would catch up with a"]]),
        (AHEAD, {"crossings": crossing(outcome="inside", overtaker="a", images=800.0, ci=[500.0, 900.0])}, {},
         [["fewer than about 800 images (95 % CI 500 to 900), b would be ahead of a"]]),
        (TIED, {"crossings": crossing(outcome="inside", leader="b", images=800.0)}, {},  # overtaken already
         [["points against the best is too much, b would be recommended"], ["more test images would decide it"]]),
        (AHEAD, {"crossings": crossing()}, {"images": 3200},
         [["b catches up with a at about 6,400 images (95 % CI 4,000 to 12,000)"]]),
        (AHEAD, {"crossings": crossing()}, {"images": 800}, [["With 8.0 times the images", "b would catch up with a"]]),
        (AHEAD, {"crossings": crossing(outcome="never", overtaker=None, images=None, ci=None, crossings=0)}, {}, []),
        (AHEAD, {"crossings": crossing()}, {"train_flops": 2e12}, []),
        (TIED, {}, {},
         [["points against the best is too much, b would be recommended", "4 T FLOPs per training instead of 1 T FLOPs",
           f"0.1 points higher accuracy (95 % CI {MINUS}1.7 to 1.9)"],
          ["Whether b is better than a by more than matters is open", "more test images would decide it"]]),
        (APART, {}, {},
         [["does not matter, a would be recommended", "1 T FLOPs per training instead of 4 T FLOPs",
           "10.0 points lower accuracy (95 % CI 8.2 to 11.8)"]]),
        (APART, {"metric": "log_loss"}, {"latency_ms": 7},
         [["latency limit of 10 ms (now 7 ms), b would be recommended", "significantly better than a",
           "0.100 lower log loss (95 % CI 0.082 to 0.118)"]]),
        (APART, {}, {"latency_ms": 7},
         [["latency limit of 10 ms (now 7 ms), b would be recommended", "significantly better than a",
           "10.0 points higher accuracy (95 % CI 8.2 to 11.8)"]]),
        (TIED, {}, {"latency_ms": 7},
         [["latency limit of 10 ms (now 7 ms), a would still be recommended", "b has 0.1 points higher accuracy",
           f"(95 % CI {MINUS}1.7 to 1.9)", "not a significant difference (P = 0.54 that b is better)"]]),
        (TIED, {}, {"min_accuracy": 0.8695},
         [["a would be recommended", "0.1 points lower accuracy",
           f"(95 % CI {MINUS}1.7 to 1.9)", "not a significant difference (P = 0.54 that b is better)",
           "4.0 times cheaper"]]),
        (TIED, {}, {"latency_ms": 3, "min_accuracy": 0.9},
         [["latency limit of 10 ms (now 3 ms)", "accuracy limit of 87.0 % (now 90.0 %)",
           "b would be recommended: accuracy 87.0 %"],
          ["latency limit of 5 ms (now 3 ms)", "accuracy limit of 86.9 % (now 90.0 %)",
           "a would be recommended: accuracy 86.9 %"]]),
        ({"a": CHEAP | {"recalls": {"ash": 0.0}}}, {}, {"min_recall": {"ash": 0.5}},
         [["no limit on the recall of ash, a would be recommended: accuracy 85.0 %"]]),
        ({"a": CHEAP | {"accuracy": 0.8, "slope": 0.0}, "b": DEAR | {"accuracy": 0.9, "slope": 0.1}}, {}, {},
         [["does not matter, a would be recommended"], ["With 800 training images, a would be recommended"]]),
    ],
)  # fmt: skip
def test_what_would_change_the_advice(rows, kwargs, constraints, changes_facts):
    texts = said(comparison(rows, **kwargs), constraints, timings(["a", "b"]))
    assert len(texts) == len(changes_facts)
    for text, facts in zip(texts, changes_facts):
        assert [fact for fact in facts if fact not in text] == []


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
    texts = said(compared, {"images": 800}) + said(compared, {"min_accuracy": 0.8695})
    assert sum("80 % CI " in text for text in texts) >= 2
    assert not any("95 %" in text for text in texts)
