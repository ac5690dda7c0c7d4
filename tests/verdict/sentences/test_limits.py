import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.constraints import Constraints
from pipeline.verdict.limits import LimitCheck
from pipeline.verdict.sentences.limits import (
    KINDS,
    amount,
    doubt_sentence,
    loosen_clause,
    loosened_limit,
    subject,
    unmet_sentence,
)

LATENCY = LimitCheck("latency_ms", 10.0, 14.23)
RECALL = LimitCheck("min_recall.oak", 0.7, 0.65, (0.55, 0.75))


def test_every_constraint_but_the_number_of_images_has_words():
    assert set(KINDS) == set(Constraints.model_fields) - {"images"}


@pytest.mark.parametrize(
    ("check", "words"),
    [(LATENCY, ("latency", "14.2 ms", "10 ms")), (RECALL, ("recall of oak", "65.0 %", "70.0 %"))],
)
def test_an_unmet_limit_is_named_with_what_was_measured_and_what_was_asked(check, words):
    assert all(word in unmet_sentence(check) for word in words)
    assert subject(check) == words[0]
    assert amount(check, check.value) == words[1]


def test_what_to_do_is_named_by_the_key_of_params_yaml():
    assert loosen_clause(LATENCY).endswith("latency_ms to 14.3 ms")
    assert loosen_clause(RECALL).endswith("min_recall.oak to 65.0 %")
    assert loosen_clause(LimitCheck("min_recall.oak", 0.7, 0.0)) == "drop min_recall.oak"
    assert "latency_ms" in loosen_clause(LimitCheck("latency_ms", 10.0, None))


def test_a_limit_that_the_mean_alone_meets_is_doubted():
    assert doubt_sentence(RECALL)
    assert doubt_sentence(LimitCheck("min_recall.oak", 0.7, 0.8, (0.72, 0.88))) == ""
    assert doubt_sentence(LATENCY) == ""


@given(st.floats(1e-3, 1e6), st.floats(1.0001, 10))
def test_a_loosened_limit_looks_different_from_the_one_that_is_set(limit, factor):
    text = loosened_limit(LimitCheck("latency_ms", limit, limit * factor))
    new, old = text.split(" limit of ")[1].removesuffix(")").split(" (now ")
    assert new != old
