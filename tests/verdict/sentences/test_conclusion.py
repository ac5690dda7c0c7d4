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


MANY = {name: {"train_flops": (n + 1) * 1e12, "accuracy": 0.8 - 0.001 * n} for n, name in enumerate("abcdefgh")}


@pytest.mark.parametrize(
    ("rows", "kwargs", "facts"),
    [
        ({"a": CHEAP}, {}, ["a is the only strategy", "accuracy is 85.0 % (95 % CI 82.5 to 87.5 %)"]),
        (TIED, {}, ["b has the best validation score", "accuracy is 87.0 % (95 % CI 84.5 to 89.5 %)",
                    "from a is not significant (P = 0.86 that b is better)", "Use a, the cheapest to train",
                    "1 T FLOPs per training, the least"]),
        (APART, {}, ["b has the best validation score", "accuracy is 90.0 % (95 % CI 87.5 to 92.5 %)",
                     "significantly better than a (P > 0.99)", "Use b: 4 T FLOPs per training, 4.0 times as many as"]),
        (APART, {"metric": "log_loss"}, ["log loss is 0.200 (95 % CI 0.175 to 0.225)", "significantly better than a"]),
        ({"a": CHEAP | {"valid": 0.9}, "b": DEAR | {"accuracy": 0.95, "valid": 0.8}}, {},
         ["a has the best validation score", "accuracy is 85.0 %", "alidation and test disagree",
          "significantly worse than b (P < 0.01 that a is better)", "Use b, the only strategy that no other",
          "4 T FLOPs per training, 4.0 times as many as a"]),
        ({"a": CHEAP | {"accuracy": 0.865}, "b": DEAR | {"accuracy": 0.86}, "c": DEAR | {"accuracy": 0.87}}, {},
         ["from a and b are not significant (P = 0.71 and P = 0.86 that c is better)"]),
        (MANY, {}, ["from b, c, d, e, f, g and h are not significant (P = 0.54 to 0.78 that a is better)",]),
    ],
)  # fmt: skip
def test_it_says_which_is_best_how_it_compares_which_to_use_and_at_what_price(rows, kwargs, facts):
    text = said(comparison(rows, **kwargs))
    assert [fact for fact in facts if fact not in text] == []


@given(worlds())
def test_it_places_every_strategy_and_ends_with_the_advice(compared):
    *before, last = re.split(r"(?<=\.) ", said(compared))
    if len(compared.strategies) > 1:
        assert last.startswith(f"Use {recommend(compared)}")
        assert all(re.search(rf"\b{name}\b", " ".join(before)) for name in compared.strategies)


def test_intervals_are_named_by_their_confidence():
    assert "(80 % CI 84.5 to 89.5 %)" in said(comparison(TIED, confidence=0.8))
