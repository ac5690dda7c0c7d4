import copy
import re

import pytest
from hypothesis import given

from pipeline.config.metric_names import METRICS
from pipeline.verdict.claim_cases import Case
from pipeline.verdict.claims import ABOUT, RULES, claims
from pipeline.verdict.sentences.claims import WORDS, claims_note
from tests.support.claimants import COMPACT, FINETUNE, FROZEN, SCRATCH, SEVERAL, without
from tests.support.example import TRANSFER, comparison, timings, with_better
from tests.support.worlds import measured, worlds

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"
LEANING, AGAINST = "leaning", "leaning against"
FAR = TRANSFER | {"ridge_accuracy": 0.5, "log_me": -0.3}
MIXED = TRANSFER | {"log_me": -0.3}
GOOD, FAIR, POOR = {"accuracy": 0.9}, {"accuracy": 0.85}, {"accuracy": 0.8}
SLOW_A = timings(["b", "a", "c"])
NEVER = {("a", "c"): {"outcome": "never", "leader": "a"}}


def said(number, a=None, b=None, c=None, timed=None, **kwargs):
    """Return a claim: a is frozen, b fine-tuned, c from scratch; None leaves one out."""
    starts = {"a": FROZEN, "b": FINETUNE, "c": SCRATCH}
    given = {"a": a, "b": b, "c": c}
    rows = {name: starts[name] | row for name, row in given.items() if row is not None}
    found = claims(comparison(rows, **kwargs), timed)[number - 1]
    assert found.number == number
    return found


@pytest.mark.parametrize(
    ("number", "rows", "kwargs", "outcome"),
    [
        # 1: frozen is the quickest and cheapest
        (1, [{}, {}, {}], {}, SUPPORTED),
        (1, [{}, {}, {}], {"timed": timings("abc")}, SUPPORTED),
        (1, [{}, {"train_flops": 2e12}, {}], {}, CONTRADICTED),
        (1, [{}, None, {"train_flops": 1e12}], {}, CONTRADICTED),
        (1, [{}, {}, {}], {"timed": SLOW_A}, LEANING),
        (1, [{}, {}, None], {}, LEANING),
        # 2: frozen suffers when the domains differ
        (2, [{"transfer": FAR} | POOR, GOOD, None], {}, SUPPORTED),
        (2, [{"transfer": FAR} | GOOD, POOR, None], {}, CONTRADICTED),
        (2, [{"transfer": FAR}, {}, None], {}, LEANING),
        (2, [POOR, GOOD, None], {}, UNDECIDED),
        (2, [{"transfer": MIXED} | POOR, GOOD, None], {}, LEANING),
        (2, [{"transfer": None} | POOR, {"transfer": None} | GOOD, None], {}, LEANING),
        # 3: scratch needs more computation
        (3, [{}, {}, {}], {}, SUPPORTED),
        (3, [{}, None, {}], {}, SUPPORTED),
        (3, [{}, {}, {"train_flops": 1e12}], {}, CONTRADICTED),
        (3, [{}, GOOD, {"train_flops": 1e12} | POOR], {}, AGAINST),
        (3, [{}, {}, {"train_flops": 3e12}], {}, LEANING),
        # 4: with enough data, scratch beats frozen
        (4, [POOR, None, GOOD], {}, SUPPORTED),
        (4, [GOOD, None, POOR], {"crossings": NEVER}, CONTRADICTED),
        (4, [GOOD, None, POOR], {}, AGAINST),
        (4, [{}, None, {}], {"crossings": NEVER}, LEANING),
        # 5: fine-tuning costs more than frozen, and as much as scratch
        (5, [{}, {}, {}], {}, SUPPORTED),
        (5, [{}, {}, {"train_flops": 4e12 * ABOUT}], {}, SUPPORTED),
        (5, [{}, {}, {"train_flops": 4.1e12 * ABOUT}], {}, CONTRADICTED),
        (5, [{}, {}, {"train_flops": 3.9e12 / ABOUT}], {}, CONTRADICTED),
        (5, [{}, {"train_flops": 2e12}, COMPACT], {}, CONTRADICTED),
        (5, [{}, {}, COMPACT], {}, AGAINST),
        (5, [{}, {}, {"image_size": 96}], {}, LEANING),
        # 6: fine-tuning is best when related
        (6, [{}, GOOD, {}], {}, SUPPORTED),
        (6, [GOOD, {}, POOR], {}, CONTRADICTED),
        (6, [GOOD, {}, None], {}, CONTRADICTED),
        (6, [{}, GOOD, None], {}, LEANING),
        (6, [{}, {}, {}], {}, LEANING),
        (6, [{"transfer": FAR}, {"transfer": FAR} | GOOD, {}], {}, UNDECIDED),
        # 7: compact is smaller and faster
        (7, [{}, None, COMPACT], {}, SUPPORTED),
        (7, [{}, None, COMPACT], {"timed": timings("ca")}, SUPPORTED),
        (7, [{}, None, COMPACT | {"model_bytes": 2e7}], {}, CONTRADICTED),
        (7, [{}, None, COMPACT | {"predict_flops": 2e9}], {}, CONTRADICTED),
        (7, [{}, None, COMPACT], {"timed": timings("ac")}, LEANING),
        (7, [{}, None, {}], {}, UNDECIDED),
        # 8: the rule of thumb
        (8, [{}, GOOD | {"slope": 0.03}, {"slope": 0.2}], {}, SUPPORTED),
        (8, [{}, GOOD | {"slope": 0.0}, {}], {}, CONTRADICTED),
        (8, [{}, GOOD | {"slope": 0.03, "train_flops": 1e12}, {}], {}, CONTRADICTED),
        (8, [GOOD, POOR, POOR], {}, CONTRADICTED),
        (8, [{"transfer": FAR}, GOOD | {"transfer": FAR, "slope": 0.03}, POOR], {}, CONTRADICTED),
        (8, [{"transfer": FAR}, {"transfer": FAR}, GOOD | {"slope": 0.1}], {}, SUPPORTED),
        (8, [{}, {}, GOOD | {"slope": 0.1}], {}, LEANING),
        (8, [{}, {}, {}], {}, LEANING),
    ],
)
@pytest.mark.parametrize("metric", METRICS)
def test_each_claim_is_decided_by_its_rule(number, rows, kwargs, outcome, metric):
    timed = kwargs.get("timed")
    assert said(number, *rows, **kwargs | {"timed": timed}, metric=metric).outcome == outcome


def test_the_eight_claims_come_in_order_with_words_and_evidence():
    found = claims(comparison(), timings(["frozen", "finetune", "scratch"]))
    assert [claim.number for claim in found] == list(range(1, 9))
    assert list(RULES) == list(WORDS)
    assert len({claim.claim for claim in found}) == len(RULES)
    for claim in found:
        assert claim.claim.endswith(".")
        assert claim.evidence.endswith(".")
        assert any(character.isdigit() for character in claim.evidence)


@pytest.mark.parametrize(
    ("number", "missing", "what"),
    [(1, "a", "a frozen backbone"), (2, "b", "fine-tuning"), (3, "c", "training from scratch"),
     (4, "a", "a frozen backbone"), (5, "c", "training from scratch"), (6, "b", "fine-tuning"),
     (7, "c", "training from scratch"), (8, "a", "a frozen backbone")],
)  # fmt: skip
def test_a_claim_that_lacks_a_strategy_says_what_to_enable(number, missing, what):
    found = said(number, **{name: {} for name in "abc" if name != missing})
    assert found.outcome == UNDECIDED
    assert found.evidence.startswith(f"Not compared: {what} (weights: ")
    assert "`enabled` in params.yaml" in found.evidence


@pytest.mark.parametrize("metric", METRICS)
def test_of_several_of_a_kind_the_best_on_validation_speaks(metric):
    rows = {"one": {"valid": 0.7}, "two": {"valid": 0.9, "accuracy": 0.6}, "control": {"weights": "random"}}
    assert Case(comparison(rows, metric=metric), {}).names == {"heads": "two"}


@pytest.mark.parametrize(
    ("number", "rows", "timed", "facts"),
    [
        (1, [{}, {}, {}], timings("abc"),
         ["a takes 2 T FLOPs", "b takes 4 T FLOPs (2.0 times", "c takes 5 T FLOPs (2.5 times", "a takes 20 G FLOPs",
          "30 s for a", "60 s for b", "2 min for c"]),
        (2, [{"transfer": FAR} | POOR, GOOD, None], None,
         ["b is significantly better than a", "10.0 points ahead", "95 % CI 8.2 to 11.8", "corrected p < 0.001",
          "not related", "leave-one-out accuracy 0.500 against 0.600", "LogME \u22120.300 against \u22120.100"]),
        (2, [GOOD, POOR, None], None, ["b is significantly worse than a", "10.0 points behind", "are related"]),
        (2, [{"transfer": MIXED}, {}, None], None, ["between b and a is not significant", "related is inconclusive"]),
        (3, [{}, GOOD, POOR], None, ["a and b are significantly better than c", "0.4 times", "0.8 times"]),
        (5, [{}, {}, COMPACT], None,
         ["2,000 predictions with a", "4,000 predictions with b", "25,000 predictions with c"]),
        (7, [{}, None, COMPACT], timings("ca"),
         ["c (compact)", "1.3 MB", "200 M FLOPs", "a (efficientnet_lite0)", "13.5 MB", "1 G FLOPs", "5 ms with c",
          "10 ms with a"]),
        (8, [POOR, GOOD, POOR], None, ["With 160 images", "b is significantly better than a by 10.0 points"]),
        (8, [{}, {}, {}], None, ["neither b nor c is significantly better than a", "b takes", "c takes"]),
    ],
)  # fmt: skip
def test_evidence_has_the_numbers(number, rows, timed, facts):
    evidence = said(number, *rows, timed).evidence
    assert [fact for fact in facts if fact not in evidence] == []


def test_without_learning_curves_the_rule_of_thumb_says_what_is_missing():
    found = claims(comparison(fractions=(1.0,)))
    assert found[7].outcome == UNDECIDED
    assert "train.fractions" in found[7].evidence
    assert "No learning curve was measured" in found[3].evidence


@given(worlds())
def test_claims_are_made_of_any_comparison_and_change_nothing_in_it(compared):
    before = copy.deepcopy(compared)
    for claim in claims(compared, measured(compared)):
        assert claim.outcome in (SUPPORTED, LEANING, UNDECIDED, AGAINST, CONTRADICTED)
        assert claim.evidence
        assert re.search(r"\d", claim.finding) or claim.outcome == UNDECIDED
    assert compared == before


@given(worlds())
def test_the_order_of_strategies_and_pairs_does_not_matter(compared):
    turned = compared.model_copy(update={
        "strategies": dict(reversed(compared.strategies.items())), "pairs": compared.pairs[::-1],
        "crossovers": compared.crossovers[::-1],
    })  # fmt: skip
    assert claims(turned) == claims(compared)


@given(worlds())
def test_supported_and_contradicted_rest_on_significant_differences_or_on_cost(compared):
    """Where no difference is significant, claims about scores alone lean at most."""
    outcomes = [claim.outcome for claim in claims(with_better(compared, [None] * len(compared.pairs)))]
    assert {outcomes[i] for i in (1, 3, 5)} <= {LEANING, UNDECIDED, AGAINST}


def test_the_note_names_whom_the_claims_are_about_and_is_empty_where_there_is_one_of_each():
    said = claims_note(Case(without(), {}))
    for words in ("frozen-x (of 3)", "finetune-x (of 2)", "scratch (of 2)", "same backbone"):
        assert words in said
    assert "(of" not in said.replace("(of 3)", "").replace("(of 2)", "")
    assert claims_note(Case(comparison(), {})) == ""


def test_the_claim_on_costs_for_the_same_model_is_about_one_that_all_three_kinds_have():
    found = claims(without())[4]
    assert all(name in found.evidence for name in ("finetune-x", "frozen-x", "scratch-x"))
    assert found.outcome == SUPPORTED
    own = claims(without("scratch-x"))[4]
    assert all(name in own.evidence for name in ("finetune takes", "frozen takes", "scratch takes 5"))
    assert own.outcome == SUPPORTED


def test_the_claim_on_compact_networks_takes_one_from_scratch_on_another_backbone():
    found = claims(without("scratch"))[6]
    assert found.outcome == UNDECIDED
    assert "same backbone" in found.evidence
    worse = SEVERAL["scratch"] | {"accuracy": 0.7, "backbone": "compact", "model_bytes": 1e6, "predict_flops": 1e8}
    found = claims(without(scratch=worse))[6]
    assert (found.outcome, "scratch (compact)" in found.evidence) == (SUPPORTED, True)
