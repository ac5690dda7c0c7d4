import os

os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
from huggingface_hub import ModelCard

from pipeline.config.backbone_table import BACKBONES
from pipeline.config.constraints import Constraints
from pipeline.report.model_card import CardSources, model_card, verdict_on
from pipeline.statistics.stored_results import TrainResult
from pipeline.tracking.model_cards import LONGEST, OURS, short_form
from pipeline.verdict.advice import advise
from tests.support.example import changed, comparison, timings


def trained(compared, name):
    """Return what stage race wrote of a strategy; its second seed is the best."""
    found = compared.strategies[name]
    own = [{metric: score.per_seed[seed] for metric, score in found.test.items()} for seed in range(3)]
    return TrainResult(strategy=name, recipe=found.recipe, seeds=(1, 2, 3), best_seed=2, cost=found.cost, curve=(),
                       transfer=None, valid=tuple(own), test=tuple(own))  # fmt: skip


def card(compared, name):
    sources = CardSources(
        "headstart-leaves",
        trained(compared, name),
        BACKBONES[compared.strategies[name].recipe.backbone],
        "f1l35",
        {"commit": "abc123-dirty", "versions": {"torch": "2.15.0", "timm": "1.0"}},
    )
    verdict = advise(compared, Constraints(), timings(compared.strategies))
    return model_card(compared, verdict, name, sources)


@pytest.fixture(scope="module")
def compared():
    return comparison()


def test_hugging_face_reads_its_fields(compared):
    data = ModelCard(card(compared, "frozen")).data
    assert (data.library_name, data.pipeline_tag, data.datasets) == ("mlflow", "image-classification", ["leaves"])
    assert (data.base_model, data.license) == ("efficientnet_lite0", "other")
    assert data.license_name == "data-unknown-weights-apache-2.0"
    results = {found.metric_type: found for found in data.eval_results}
    assert set(results) == {"accuracy", "balanced_accuracy", "roc_auc"}
    score = compared.strategies["frozen"].test["accuracy"]
    assert results["accuracy"].metric_value == pytest.approx(score.per_seed[1])
    assert (results["accuracy"].dataset_split, results["accuracy"].dataset_revision) == ("test", "d1g35t")


def test_from_scratch_there_is_no_base_model_and_no_licence_of_weights(compared):
    text = card(compared, "scratch")
    data = ModelCard(text).data
    assert data.base_model is None
    assert data.license_name == "data-unknown"
    assert "trains compact from scratch" in text
    assert "Pretrained weights: none, it began with random ones" in text


def test_it_tells_scores_with_intervals_classes_cost_licences_and_origin(compared):
    compared = compared.model_copy(
        update={"dataset": compared.dataset.model_copy(update={"licence": "CC BY 4.0", "notes": ("A | note.",)})}
    )
    text = card(compared, "finetune")
    title = "# finetune: test accuracy 87.8 % (85.3 to 90.3 %) on leaves"
    assert title in text.splitlines()
    assert "it labels a picture as ash, beech or oak." in text
    assert "| accuracy | 87.8 % | 87.8 % | 85.3 to 90.3 % |" in text
    assert "| beech | 400 | 100 | 50 | 87.8 % | 83.8 to 91.8 % | 87.8 % | 87.8 % |" in text
    assert "differs from accuracy by 6.0 points" in text
    assert "| FLOPs of one prediction | 1 G |" in text
    assert "- A \\| note." in text
    assert "- Data: CC BY 4.0\n- Pretrained weights: Apache-2.0\n" in text
    for words in (
        "abc123-dirty",
        "digest d1g35t",
        "digest f1l35",
        "torch 2.15.0, timm 1.0",
        "seed 2, the best on vali",
    ):
        assert words in text, words
    assert 'load_model("models:/headstart-leaves@best-finetune")' in text
    assert not [line for line in text.splitlines() if line.rstrip() != line]


def test_of_many_classes_those_with_the_lowest_recall_are_listed(compared):
    names = tuple(f"class-{number:02}" for number in range(40))
    many = comparison({"one": {"recalls": {"class-07": 0.1}}}, classes=names)
    text = card(many, "one")
    assert "class-00, class-01, class-02, class-03, class-04 or one of 35 other classes" in text
    rows = [line for line in text.splitlines() if line.startswith("| class-")]
    assert (len(rows), rows[0].split("|")[5].strip()) == (30, "10.0 %")
    assert "the 30 classes with the lowest recall, of 40" in text


def test_markup_in_names_is_shown_as_text():
    odd = comparison({"one": {}}, classes=("<b>x</b>", "a|b", "oak"))
    text = card(odd, "one")
    assert "<b>" not in text.split("---\n", 2)[2]
    assert "| a\\|b |" in text


def test_the_verdict_on_each_strategy_is_a_sentence(compared):
    verdict = advise(compared, Constraints(), timings(compared.strategies))
    said = {name: verdict_on(compared, verdict, name) for name in compared.strategies}
    assert said[verdict.recommended] == verdict.answers.use
    assert said["scratch"] == (
        f"Not recommended: by accuracy, it is worse than {verdict.recommended}, which is the one to use."
    )
    limited = verdict.model_copy(update={"recommended": None, "excluded": {"frozen": ("too slow", "too large")}})
    assert verdict_on(compared, limited, "frozen") == "Not recommended: too slow; too large."


def test_as_a_description_it_fits_into_the_registry(compared):
    assert short_form(card(compared, "frozen")).endswith(f"1.0 |{OURS}")
    names = tuple(f"class-{number:02}" + "x" * 90 for number in range(40))
    short = short_form(card(comparison({"one": {}}, classes=names), "one"))
    assert len(short) <= LONGEST
    assert "## Scores on test" in short
    assert "## By class" not in short


def test_a_model_that_is_not_calibrated_at_all_has_a_card(compared):
    worst = compared.strategies["frozen"].calibration
    raw = worst.raw.model_copy(update={"ece": 1.0})
    assert "by 100.0 points" in card(
        changed(compared, "frozen", calibration=worst.model_copy(update={"raw": raw})), "frozen"
    )
