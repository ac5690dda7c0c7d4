from pipeline.verdict.claim_cases import Case
from tests.support.claimants import FINETUNE, SEVERAL, without


def test_frozen_and_fine_tuned_are_of_one_backbone_the_best_that_has_both():
    names = {"heads": "frozen-x", "tuned": "finetune-x", "fresh": "scratch"}
    assert Case(without(), {}).names == names  # frozen-y is better, and nothing is fine-tuned on y
    assert Case(without("finetune-x"), {}).names == names | {"heads": "frozen", "tuned": "finetune"}
    tuned_y = FINETUNE | {"accuracy": 0.84, "backbone": "y"}
    best = names | {"heads": "frozen-y", "tuned": "finetune-y"}
    assert Case(without(**{"finetune-y": tuned_y}), {}).names == best


def test_without_a_backbone_that_is_both_frozen_and_tuned_each_kind_has_its_best():
    names = Case(without("frozen", "frozen-x"), {}).names
    assert names == {"heads": "frozen-y", "tuned": "finetune-x", "fresh": "scratch"}


def test_with_fewer_images_the_claims_are_about_the_same_strategies():
    falling = without(**{"finetune-x": SEVERAL["finetune-x"] | {"slope": 0.2}})  # the worst of all with few images
    case = Case(falling, {})
    small, _ = case.smallest()
    assert small.names == case.names
    assert Case(small.comparison, {}).names != case.names  # what it would choose by itself
