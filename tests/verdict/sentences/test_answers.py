import re

import pytest
from hypothesis import given

from pipeline.config.constraints import Constraints
from pipeline.verdict.decision import decide
from pipeline.verdict.sentences.answers import answers, doubts
from tests.support.example import changed, comparison, timings
from tests.support.worlds import limits, measured, worlds

CHEAP, DEAR = {"train_flops": 1e12}, {"train_flops": 4e12}
TIED = {"a": CHEAP | {"accuracy": 0.869}, "b": DEAR | {"accuracy": 0.87}}
APART = {"a": CHEAP | {"accuracy": 0.8}, "b": DEAR | {"accuracy": 0.9}}


def said(rows, constraints=None, **kwargs):
    return answers(decide(comparison(rows, **kwargs), Constraints(**(constraints or {})), timings("ab")))


def test_of_what_is_practically_equal_the_cheap_one_is_used_and_what_it_may_lose_is_said():
    found = said(TIED)
    assert found.use.startswith("Use a: of the strategies expected to lose no more than 0.5 points against the best,")
    assert re.fullmatch(
        r"Against the best, most likely b, it is expected to lose 0\.\d points of accuracy and, with 95 % confidence, "
        r"at most \d\.\d points, or \d+ in a thousand images\.", found.loses,
    )  # fmt: skip
    assert found.costs == "One training takes 1 trillion operations, 0.25 times as many as b, and one prediction 1 " \
                          "billion operations."  # fmt: skip
    assert re.fullmatch(r"Use b if losing 0\.\d points is too much\.", found.changes)


def test_whoever_is_best_for_certain_loses_nothing():
    found = said(APART)
    assert found.use == "Use b: it alone is expected to lose no more than 0.5 points against the best."
    assert (
        found.loses == "With 95 % confidence it loses nothing in accuracy against the best: none in a thousand images."
    )
    assert "4.0 times as many as a" in found.costs
    assert re.fullmatch(r"Use a, at 0\.25 times the cost of training, if losing 9\.\d points does not matter\.",
                        found.changes)  # fmt: skip


def test_a_loss_too_small_to_be_written_is_not_called_nothing():
    found = said({"a": CHEAP, "b": DEAR | {"accuracy": 0.8501}}, paired=1e-4)
    assert found.changes == "Use b if losing less than 0.1 points is too much."


def test_a_metric_that_is_no_share_of_images_is_not_counted_in_images():
    assert "thousand" not in said(TIED, metric="log_loss").loses
    assert "0.5 points" not in said(TIED, metric="log_loss").use


@pytest.mark.parametrize(
    ("constraints", "words"),
    [
        ({"train_flops": 2e12}, "Use a: it is the only strategy that meets your constraints."),
        ({"latency_ms": 1}, "No strategy meets your constraints."),
        ({"images": 800}, "With 800 training images, use "),
        ({"images": 900}, "With 900 training images, between measured sizes, use "),
        ({"images": 9}, "With 9 training images, fewer than were measured (as with 160), use "),
        ({"images": 2000}, "With 2,000 training images, more than were measured (a forecast by the learning curves), "),
    ],
)
def test_constraints_are_named_where_they_decide(constraints, words):
    found = said(APART, constraints)
    assert found.use.startswith(words)
    if "latency_ms" in constraints:
        assert found.changes.startswith("The nearest is a, with accuracy 80.0 % on test: loosen latency_ms to 5 ms")
        assert found.loses == found.costs == ""


def test_a_limit_that_is_met_without_certainty_is_doubted():
    decision = decide(comparison(APART), Constraints(min_accuracy=0.89))
    (doubt,) = doubts(decision)
    assert "reaches down to 87.5 %" in doubt
    assert doubts(decide(comparison(APART), Constraints(min_accuracy=0.99))) == []


def test_what_would_change_the_advice_on_one_strategy_is_nothing():
    assert said({"a": CHEAP}).changes == "Nothing that was measured would change this."


def test_a_forecast_moves_with_the_fitted_curve():
    law = {"images": (160.0, 1600.0, 16000.0), "low": (0.6, 0.78, 0.7), "middle": (0.7, 0.8, 0.95),
           "high": (0.8, 0.82, 0.99)}  # fmt: skip
    compared = comparison(APART)
    fitted = type(compared).model_validate(
        changed(compared, "a", law=None).model_dump()
        | {"strategies": {**compared.model_dump()["strategies"],
                          "a": compared.strategies["a"].model_dump() | {"law": law}}}
    )  # fmt: skip
    decision = decide(fitted, Constraints(images=16000))
    assert decision.comparison.strategies["a"].test["accuracy"].mean == pytest.approx(0.95)
    assert decision.comparison.strategies["b"].test["accuracy"].mean == pytest.approx(0.9)
    assert decision.recommended == "a"
    assert not decision.significant


@given(worlds(), limits())
def test_each_answer_is_one_sentence_about_the_recommended_strategy(compared, constraints):
    decision = decide(compared, constraints, measured(compared))
    found = answers(decision)
    for text in (found.use, found.loses, found.costs, found.changes):
        assert text == "" or text.endswith(".")
        assert ". " not in text
    assert decision.recommended is None or decision.recommended in found.use
