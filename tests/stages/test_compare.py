import json

import pytest
from PIL import Image

from pipeline.metrics import METRICS

STRATEGIES = ["finetune", "frozen"]


@pytest.fixture
def compared(chain):
    return json.loads((chain.root / "results" / "comparison.json").read_text())


def test_it_holds_a_recipe_scores_with_intervals_and_costs_of_each_strategy(compared):
    assert sorted(compared["strategies"]) == STRATEGIES
    for strategy in compared["strategies"].values():
        assert {"recipe", "valid", "test", "cost"} <= set(strategy)
        for split in ("valid", "test"):
            assert set(strategy[split]) == set(METRICS)
            for scores in strategy[split].values():
                assert set(scores) == {"mean", "ci95", "per_seed"}
                assert scores["ci95"][0] <= scores["ci95"][1]
                assert scores["mean"] == pytest.approx(sum(scores["per_seed"]) / 2)
        assert set(strategy["cost"]) == {
            "search_flops", "train_flops", "fit_flops", "predict_flops", "parameters", "trainable_parameters",
            "model_bytes"
        }  # fmt: skip
        assert all(isinstance(value, int) and value > 0 for value in strategy["cost"].values())


def test_it_holds_what_the_train_stage_scored(chain, compared):
    for name, strategy in compared["strategies"].items():
        trained = chain.document("train", name)
        assert strategy["recipe"] == trained["recipe"]
        assert strategy["cost"] == trained["cost"]
        for metric in METRICS:
            assert strategy["test"][metric]["per_seed"] == [scores[metric] for scores in trained["test"]]


def test_it_holds_the_difference_of_every_pair_with_its_interval(compared):
    assert [(pair["a"], pair["b"]) for pair in compared["pairs"]] == [tuple(STRATEGIES)]
    for metric in METRICS:
        difference = compared["pairs"][0][metric]
        a, b = (compared["strategies"][name]["test"][metric]["mean"] for name in STRATEGIES)
        assert difference["difference"] == pytest.approx(a - b)
        assert len(difference["ci95"]) == 2
        assert 0 <= difference["p_a_beats_b"] <= 1


def test_the_winner_is_chosen_on_validation_and_the_verdict_names_it(compared):
    accuracies = {name: s["valid"]["accuracy"]["mean"] for name, s in compared["strategies"].items()}
    assert accuracies[compared["winner"]] == max(accuracies.values())
    assert compared["winner"] in compared["verdict"]


def test_it_names_the_data_it_is_about(chain, compared):
    summary = json.loads((chain.prepared.report / "summary.json").read_text())
    dataset = compared["dataset"]
    assert (dataset["name"], dataset["digest"]) == ("tiny", summary["digest"])
    assert {split: sum(counts.values()) for split, counts in dataset["counts"].items()} == {
        "train": 28, "valid": 8, "test": 12
    }  # fmt: skip


def test_the_report_shows_the_verdict_and_figures_that_are_there(chain, compared):
    report = (chain.root / "results" / "report.md").read_text()
    assert compared["verdict"] in report
    figures = sorted((chain.root / "results" / "figures").iterdir())
    assert len(figures) >= 3
    for figure in figures:
        assert f"(figures/{figure.name})" in report
        with Image.open(figure) as image:
            assert min(image.size) > 100


def test_the_comparison_is_a_run_with_report_and_figures(chain, compared):
    run = chain.runs()["compare"]
    assert (run.info.status, run.data.tags["winner"]) == ("FINISHED", compared["winner"])
    files = {file.path for file in chain.client.list_artifacts(run.info.run_id)}
    assert {"comparison.json", "report.md", "accuracy_cost.png"} <= files
    mean = compared["strategies"]["frozen"]["test"]["accuracy"]["mean"]
    assert run.data.metrics["frozen.test_accuracy"] == pytest.approx(mean)


def test_a_strategy_that_was_not_trained_is_asked_for(new_chain, capsys):
    assert new_chain().run("compare") == 2
    assert "frozen.json: not there; run the stage that makes it" in capsys.readouterr().err
