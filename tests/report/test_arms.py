from pathlib import Path

import pytest

from pipeline.config.constraints import Constraints
from pipeline.report.arms import NOTE, scored_arms
from pipeline.verdict.advice import advise
from tests.support.example import comparison, timings


@pytest.fixture(scope="module")
def arms():
    compared = comparison()
    verdict = advise(compared, Constraints(), timings(compared.strategies))
    cards = {name: Path(name) / "README.md" for name in compared.strategies}
    return compared, verdict, {arm.name: arm for arm in scored_arms(compared, verdict, Path("results/race"), cards)}


def test_the_best_on_test_comes_first_and_each_has_its_result_recipe_and_card(arms):
    compared, _, found = arms
    assert [*found] == ["finetune", "frozen", "scratch"]
    for name, arm in found.items():
        assert (arm.result, arm.files) == (Path(f"results/race/{name}.json"), (Path(name) / "README.md",))
        assert arm.params == compared.strategies[name].recipe.model_dump() | {"strategy": name}


def test_scores_have_the_ends_of_their_intervals_and_costs_are_beside_them(arms):
    compared, _, found = arms
    score, metrics = compared.strategies["frozen"].test["accuracy"], found["frozen"].metrics
    assert [metrics[f"test_accuracy{end}"] for end in ("", "_low", "_high")] == [score.mean, *score.ci]
    assert metrics["train_flops"] == compared.strategies["frozen"].cost.train_flops
    assert {"valid_log_loss", "search_flops", "predict_flops", "parameters", "test_calibration_error"} <= set(metrics)


def test_the_verdict_is_a_word_to_sort_by_and_a_sentence(arms):
    _, verdict, found = arms
    words = {name: arm.tags["verdict"] for name, arm in found.items()}
    assert words[verdict.recommended] == "recommended"
    assert words["scratch"] == "worse"
    assert found["scratch"].tags[NOTE].startswith("Not recommended: ")
