import json
import os
import re
import shutil
from pathlib import Path
from unittest.mock import patch

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from pipeline.config.metric_names import METRICS
from pipeline.stages.compare import main
from pipeline.statistics.schema import Comparison
from pipeline.statistics.stored_results import TrainResult
from pipeline.verdict.advice import conclude
from pipeline.verdict.schema import Verdict
from tests.support.imports import ROOT

STRATEGIES = ["finetune", "frozen"]


@pytest.fixture
def compared(chain):
    return Comparison.load(chain.root / "results" / "comparison.json")


@pytest.fixture
def advice(chain):
    return Verdict.load(chain.root / "results" / "verdict.json")


def test_it_holds_scores_with_intervals_and_costs_of_each_strategy(compared):
    assert sorted(compared.strategies) == STRATEGIES
    for strategy in compared.strategies.values():
        for scores in (strategy.valid, strategy.test):
            assert set(scores) == set(METRICS)
            for score in scores.values():
                assert score.ci[0] <= score.ci[1]
                assert score.mean == pytest.approx(sum(score.per_seed) / 2)
        assert all(value > 0 for value in strategy.cost.model_dump().values())


def test_it_holds_what_the_train_stage_scored(chain, compared):
    for name, strategy in compared.strategies.items():
        trained = TrainResult.load(chain.root / "results" / "train" / f"{name}.json")
        assert strategy.recipe == trained.recipe
        assert strategy.cost == trained.cost
        for metric in METRICS:
            assert list(strategy.test[metric].per_seed) == [scores[metric] for scores in trained.test]


def test_it_holds_the_difference_of_every_pair_with_its_interval(compared):
    assert [(pair.a, pair.b) for pair in compared.pairs] == [tuple(STRATEGIES)]
    for metric in METRICS:
        found = compared.pairs[0].differences[metric]
        assert found.ci[0] <= found.difference <= found.ci[1]
        assert 0 <= found.p_a_beats_b <= 1


def test_a_difference_rests_on_test_and_on_the_validation_images_that_no_search_looked_at(chain, compared):
    means = {}
    for name in STRATEGIES:
        table = pd.read_csv(chain.root / "results" / "train" / f"{name}.csv")
        table = table[table["fraction"] == 1]
        table["right"] = (table["p_top"] > 0.5).astype(int) == table["label"]
        unseen = table[(table["split"] == "valid") & (table["searched"] == 0)]
        tested = table[table["split"] == "test"]
        counts = tested["id"].nunique(), unseen["id"].nunique()
        by_split = [part.groupby("seed")["right"].mean().mean() for part in (tested, unseen)]
        means[name] = np.average(by_split, weights=counts)
        assert compared.unseen == counts[1]
        searched = table["id"][table["searched"] == 1]
        assert 0 < len(searched) < len(table[table["split"] == "valid"])
        assert set(searched).isdisjoint(unseen["id"])
    wanted = means[compared.pairs[0].a] - means[compared.pairs[0].b]
    assert compared.pairs[0].differences["accuracy"].difference == pytest.approx(wanted)


def test_it_holds_numbers_and_names_alone_and_sentences_are_the_verdicts(chain, compared, advice):
    texts = re.findall(r'": "([^"]*)"', (chain.root / "results" / "comparison.json").read_text())
    assert "frozen" in texts
    assert [text for text in texts if " " in text] == []
    assert advice.recommended in advice.unconstrained.answers.use


def test_the_winner_is_chosen_on_validation(compared):
    accuracies = {name: s.valid["accuracy"].mean for name, s in compared.strategies.items()}
    assert accuracies[compared.winner] == max(accuracies.values())


def test_it_names_the_data_it_is_about(chain, compared):
    summary = json.loads((chain.prepared.summary / "summary.json").read_text())
    dataset = compared.dataset
    assert (dataset.name, dataset.digest) == ("tiny", summary["digest"])
    assert {split: sum(counts.values()) for split, counts in dataset.counts.items()} == {
        "train": 28, "valid": 8, "test": 12
    }  # fmt: skip


def test_the_report_in_short_shows_the_verdict_and_figures_that_are_there(chain, advice):
    report = (chain.root / "results" / "report.md").read_text()
    assert advice.answers.use in report
    assert "(report.html)" in report
    figures = sorted((chain.root / "results" / "figures").iterdir())
    assert len(figures) >= 3
    for figure in figures:
        assert f"(figures/{figure.name})" in report
        with Image.open(figure) as image:
            assert min(image.size) > 100


def test_the_comparison_is_a_run_with_report_and_figures(chain, compared):
    run = chain.runs()["compare"]
    assert (run.info.status, run.data.tags["winner"]) == ("FINISHED", compared.winner)
    files = {file.path for file in chain.client.list_artifacts(run.info.run_id)}
    assert {"comparison.json", "verdict.json", "report.html", "report.md", "accuracy_cost.png"} <= files
    mean = compared.strategies["frozen"].test["accuracy"].mean
    assert run.data.metrics["frozen.accuracy"] == pytest.approx(mean)


def test_the_run_of_each_arm_holds_the_comparison_and_the_card_and_says_where_it_came_from(chain, compared, advice):
    for name, strategy in compared.strategies.items():
        run, score = chain.runs()[name], strategy.test["accuracy"]
        found = [run.data.metrics[f"test_accuracy{end}"] for end in ("", "_low", "_high")]
        assert found == pytest.approx([score.mean, *score.ci])
        assert run.data.metrics["train_flops"] == strategy.cost.train_flops
        assert run.data.params["backbone"] == strategy.recipe.backbone
        assert (run.data.tags["verdict"] == "recommended") == (name == advice.recommended)
        assert "README.md" in {file.path for file in chain.client.list_artifacts(run.info.run_id)}
        assert {"mlflow.source.name", "mlflow.source.type"} <= set(run.data.tags)
        linked = {(m.key, m.dataset_name) for model in chain.client.search_logged_models([run.info.experiment_id])
                  if model.source_run_id == run.info.run_id for m in model.metrics}  # fmt: skip
        assert ("test_accuracy_low", "tiny-test") in linked


def test_the_experiment_shows_the_verdict_and_links_to_runs_that_are_there(chain, compared, advice):
    experiment = chain.client.get_experiment_by_name("tiny")
    note, runs = experiment.tags["mlflow.note.content"], chain.runs()
    assert advice.answers.use in note
    assert f"/runs/{runs['compare'].info.run_id}/artifacts/report.html" in note
    assert all(runs[name].info.run_id in note for name in compared.strategies)


def test_learning_curves_calibration_and_transferability_are_part_of_it(compared):
    for name, strategy in compared.strategies.items():
        half, whole = strategy.curve
        assert (half.fraction, whole.fraction) == (0.5, 1)
        assert (half.images, whole.images) == (14, 28)
        assert whole.scores == strategy.test
        assert half.train_flops < whole.train_flops == strategy.cost.train_flops
        assert len(strategy.calibration.temperature) == 2
        assert (strategy.transfer is None) == (strategy.recipe.weights == "random"), name
    assert [(found.a, found.b) for found in compared.crossovers] == [tuple(STRATEGIES)]
    assert compared.ranking is None  # of a single pretrained backbone


def test_the_verdict_follows_from_the_comparison_and_answers_every_claim(compared, advice):
    assert advice.unconstrained == conclude(compared)
    assert advice.recommended == advice.unconstrained.recommended
    assert not advice.constrained
    assert sorted(advice.admissible) == STRATEGIES
    assert [claim.number for claim in advice.claims] == list(range(1, 9))


def again(chain, to, **changed):
    """Compare what the chain has trained once more, into a folder; return the client of its MLflow database."""
    words = chain.command("compare")
    for name in ("out", "verdict", "page", "report", "cards", "figures", "metrics", "plots", "timings"):
        at = words.index(f"--{name}") + 1
        words[at] = str(to / Path(words[at]).name)
    for name, file in changed.items():
        words[words.index(f"--{name}") + 1] = str(file)
    uri = f"sqlite:///{shutil.copy(chain.root / 'mlflow.db', to)}"
    with patch.dict(os.environ, {"MLFLOW_TRACKING_URI": uri}):
        assert main(words) == 0
    return mlflow.MlflowClient(uri)


def test_a_constraint_on_what_was_timed_is_held_against_the_timings(chain, small_params, write_params, tmp_path):
    file = chain.root / "results" / "timings" / "train" / "frozen.json"
    wall_clock = json.loads(file.read_text())["latency_ms"]["1"]["p50"]
    small_params |= {"enabled": STRATEGIES, "constraints": {"latency_ms": wall_clock / 2}}
    params = write_params(tmp_path, small_params)
    again(chain, tmp_path, params=params)
    assert "latency" in Verdict.load(tmp_path / "verdict.json").excluded["frozen"][0]
    same = [(folder / "comparison.json").read_bytes() for folder in (tmp_path, chain.root / "results")]
    assert same[0] == same[1]


def test_everything_is_at_the_confidence_of_params_yaml(chain, compared, small_params, write_params, tmp_path):
    small_params |= {"enabled": STRATEGIES}
    small_params["compare"]["confidence"] = 0.8
    again(chain, tmp_path, params=write_params(tmp_path, small_params))
    found = Comparison.load(tmp_path / "comparison.json")
    for name, strategy in found.strategies.items():
        for metric, score in strategy.test.items():
            assert np.ptp(score.ci) < np.ptp(compared.strategies[name].test[metric].ci)
    for metric, difference in found.pairs[0].differences.items():
        before = np.ptp(compared.pairs[0].differences[metric].ci)
        assert np.ptp(difference.ci) < before or before == 0  # no image on which the two differ
    for file in ("report.md", "verdict.json"):
        text = (tmp_path / file).read_text()
        assert "80 %" in text
        assert not re.search(r"(?<![\d.])95 %", text)


def test_of_very_uneven_classes_balanced_accuracy_decides_and_what_was_left_out_is_reported(chain, compared, tmp_path):
    assert (compared.metric, compared.dataset.excluded.kinds) == ("accuracy", {})
    assert chain.runs()["compare"].data.tags["excluded"] == "0"
    summary = json.loads((chain.prepared.summary / "summary.json").read_text())
    summary["counts"]["train"] = {"low": 200, "top": 20}
    gone = [[f"<b>{number}</b>.png", "cannot be used: the file is empty"] for number in range(20)]
    summary |= {
        "excluded": {"kinds": {"cannot be used": 22}, "first": gone},
        "marks": {"CMYK": 3},
        "notes": ["A note."],
    }
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "summary.json").write_text(json.dumps(summary))
    (tmp_path / "data" / "excluded.csv").write_text("path,reason\n")
    client = again(chain, tmp_path, data=tmp_path / "data" / "summary.json")
    found = Comparison.load(tmp_path / "comparison.json")
    assert found.metric == "balanced_accuracy"
    for pair in found.pairs:
        assert (pair.better is not None) == (pair.differences["balanced_accuracy"].p_adjusted <= 0.05)
    scores = {name: s.valid["balanced_accuracy"].mean for name, s in found.strategies.items()}
    assert scores[found.winner] == max(scores.values())
    why = "the largest class (low: 200 training images) has at least 10 times as many as the smallest (top: 20)"
    said = "Left out: 22 image(s) (cannot be used: 22)", "3 CMYK (converted to RGB)", "A note.", why
    for file in ("report.md", "report.html"):
        text = (tmp_path / file).read_text()
        assert all(words in text for words in said), file
        assert "<b>19" not in text
    assert "and 2 more" in text
    experiments = [each.experiment_id for each in client.search_experiments()]
    run = next(run for run in client.search_runs(experiments) if run.data.tags.get("excluded") == "22")
    assert "excluded.csv" in {file.path for file in client.list_artifacts(run.info.run_id)}


def test_dvc_gets_numbers_and_tables(chain, compared):
    numbers = json.loads((chain.root / "results" / "metrics.json").read_text())
    assert numbers["frozen"]["accuracy"] == compared.strategies["frozen"].test["accuracy"].mean
    tables = {path.stem: pd.read_csv(path) for path in (chain.root / "results" / "plots").iterdir()}
    assert set(tables) == {"learning_curve", "search", "confusion", "reliability"}
    for table in tables.values():
        assert set(table["strategy"]) == set(STRATEGIES)
    confusion = tables["confusion"].set_index(["strategy", "actual", "predicted"])["images"]
    assert confusion["frozen", "low", "top"] == compared.strategies["frozen"].confusion[0][1]
    for name, rows in tables["search"].groupby("strategy"):
        confirmed = chain.table("tune", name).set_index("trial")["state"][rows["trial"]].eq("CONFIRMED").to_numpy()
        for part in (rows[~confirmed], rows[confirmed]):
            assert part["best"].is_monotonic_decreasing, name
    for spec in dvc_plots():  # what dvc.yaml draws is there
        (file, options), *_ = spec.items()
        table = tables[Path(file).stem]
        assert {options["x"], options["y"]} <= set(table)
        assert (ROOT / ".dvc" / "plots" / f"{options['template']}.json").is_file()


def dvc_plots():
    return yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["plots"]


def test_a_short_summary_is_printed_and_ends_with_the_verdict(chain, small_params, write_params, tmp_path, capsys):
    params = write_params(tmp_path, small_params | {"enabled": STRATEGIES, "constraints": {"train_flops": 1}})
    again(chain, tmp_path, params=params)
    lines = capsys.readouterr().out.strip().splitlines()
    verdict = Verdict.load(tmp_path / "verdict.json")
    assert len(lines) <= 15
    assert verdict.answers.use in lines
    assert lines[-1] == f"Without constraints: {verdict.unconstrained.answers.use}"
    assert sorted(line.split()[0] for line in lines[1:3]) == STRATEGIES


def test_a_strategy_that_was_not_trained_is_asked_for(new_chain, capsys):
    assert new_chain().run("compare") == 2
    assert "frozen.json: no such file; run the stage that makes it" in capsys.readouterr().err
