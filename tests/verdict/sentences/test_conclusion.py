import re

import pytest
from hypothesis import given

from pipeline.verdict.pairwise import recommend
from pipeline.verdict.sentences.conclusion import conclusion_sentence
from tests.support.example import comparison
from tests.support.worlds import worlds

CHEAP, DEAR = {"train_flops": 1e12}, {"train_flops": 4e12}
TIED = {"a": CHEAP | {"accuracy": 0.86}, "b": DEAR | {"accuracy": 0.87}}
APART = {"a": CHEAP | {"accuracy": 0.8}, "b": DEAR | {"accuracy": 0.9}}


def said(compared):
    return conclusion_sentence(compared, recommend(compared))


@pytest.mark.parametrize(
    ("rows", "kwargs", "text"),
    [
        ({"a": CHEAP}, {},
         "a is best on validation; on test its accuracy is 85.0 % (95 %: 82.5 to 87.5 %). There is nothing to compare "
         "it with."),
        (TIED, {},
         "b is best on validation; on test its accuracy is 87.0 % (95 %: 84.5 to 89.5 %); it cannot be told from a (P "
         "= 0.86). Use a, the cheapest to train that no other is told to beat: 1 T FLOPs of training, the least of "
         "all."),
        (APART, {},
         "b is best on validation; on test its accuracy is 90.0 % (95 %: 87.5 to 92.5 %); it beats a (P > 0.99). Use "
         "b: 4 T FLOPs of training, 4.0 times that of a."),
        (APART, {"metric": "log_loss"},
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
    assert said(comparison(rows, **kwargs)) == text


@given(worlds())
def test_the_sentence_places_every_strategy_and_ends_with_the_advice(compared):
    head, *rest = re.split(r"(?<=\.) ", said(compared))
    assert all(re.search(rf"\b{name}\b", head) for name in compared.strategies)
    assert f" {recommend(compared)}" in rest[-1] or len(compared.strategies) == 1


def test_intervals_are_named_by_their_confidence():
    assert "(80 %: 84.5 to 89.5 %)" in said(comparison(TIED, confidence=0.8))
