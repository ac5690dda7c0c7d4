import pytest

from pipeline.config.recipe import FRESH, HEADS, TUNED
from pipeline.verdict.claim_cases import Case, Missing
from pipeline.verdict.claims import RULES
from pipeline.verdict.sentences.claims import WORDS, claims_note, missing_sentence
from tests.support.example import comparison


def test_every_rule_has_its_claim_and_its_evidence():
    assert list(WORDS) == list(RULES)
    case = Case(comparison(), {})
    for text, evidence in WORDS.values():
        assert text.endswith(".")
        assert evidence(case).endswith(".")


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        (Missing([HEADS]), ("weights: pretrained", "cut: head", "`enabled`")),
        (Missing([TUNED, FRESH]), ("cut: a stage or input", "weights: random", "`enabled`")),
        (Missing(), ("train.fractions",)),
    ],
)
def test_what_is_missing_is_named_with_how_to_add_it(missing, words):
    assert [word for word in words if word not in missing_sentence(missing)] == []


def test_of_one_strategy_of_each_kind_nothing_has_to_be_said():
    assert claims_note(Case(comparison(), {})) == ""
    several = comparison({"one": {"valid": 0.8}, "two": {"valid": 0.9}})
    assert "two (of 2)" in claims_note(Case(several, {}))
