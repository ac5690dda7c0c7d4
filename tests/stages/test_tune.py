import json
import os
import shutil
import signal
import subprocess
import sys
import time

import optuna
import pytest

from pipeline.config.recipe import Recipe
from pipeline.stages.tune import main
from tests.support.imports import ROOT


@pytest.fixture
def result(chain, strategy):
    return chain.document("tune", strategy)


@pytest.fixture
def trials(chain, strategy):
    return chain.table("tune", strategy)


def test_the_best_recipe_is_exported_with_what_it_took_to_find_it(result, trials, strategy):
    assert set(result) == {
        "strategy", "recipe", "best_trial", "objective", "value", "trials", "search_flops", "budget_flops", "ended_by"
    }  # fmt: skip
    best = trials.set_index("trial").loc[result["best_trial"]]
    last = "CONFIRMED" if strategy == "finetune" else "COMPLETE"  # finetune searches by proxy
    assert (result["strategy"], best["state"]) == (strategy, last)
    assert result["value"] == pytest.approx(trials["value"][trials["state"] == last].min())
    recipe = Recipe(**result["recipe"])
    assert recipe.head == "logistic" or recipe.learning_rate == pytest.approx(best["learning_rate"])
    assert recipe.image_size == 32
    assert result["search_flops"] > 0
    assert result["ended_by"] == "trials"


def test_every_trial_is_exported(result, trials):
    assert list(trials["trial"]) == ([0, 1, 2] if result["strategy"] == "finetune" else [0, 1])
    assert result["trials"] == trials["state"].value_counts().to_dict()
    assert set(trials["epochs"][trials["state"] == "COMPLETE"]) <= {1, 2}  # a logistic head is fitted in one go
    assert {"value", "flops", "valid_accuracy", "learning_rate", "failed"} <= set(trials)


def test_trials_are_nested_in_the_run_of_the_arm(chain, strategy, result, trials):
    parent = chain.runs()[strategy]
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["search_valid_log_loss"] == pytest.approx(result["value"])
    files = chain.client.list_artifacts(parent.info.run_id, "search")
    assert [file.path for file in files] == [f"search/{strategy}.csv"]
    children = chain.children(strategy, "tune")
    assert set(children) == {f"{strategy} trial {number}" for number in trials["trial"]}
    for number, state, epochs in zip(trials["trial"], trials["state"], trials["epochs"]):
        run = children[f"{strategy} trial {number}"]
        assert (run.info.status, run.data.tags["state"]) == ("FINISHED", state)
        history = chain.client.get_metric_history(run.info.run_id, "valid_log_loss")
        assert [point.step for point in history] == list(range(1, epochs + 1))


def test_trials_of_different_strategies_can_be_compared(chain):
    one, other = chain.children("frozen", "tune"), chain.children("finetune", "tune")
    runs = [*one.values(), *other.values()]
    assert len({frozenset(run.data.params) for run in runs}) == 1
    assert len({frozenset(run.data.metrics) for run in runs}) == 1
    assert {run.data.params["strategy"] for run in runs} == {"frozen", "finetune"}


def test_no_training_state_is_left_behind(chain):
    assert list(chain.root.glob("work/units/*/epoch-*.json"))
    assert not list(chain.root.glob("work/units/*/state.pt"))


def test_the_test_split_cannot_be_given(chain, capsys):
    with pytest.raises(SystemExit):
        main([*chain.command("tune", "frozen"), "--test", str(chain.prepared.test)])
    assert "--test" in capsys.readouterr().err


def test_an_unknown_strategy_is_refused_naming_those_there_are(chain, capsys):
    assert chain.run("tune", "nope") == 2
    assert "'nope'; there are frozen, finetune" in capsys.readouterr().err


def test_a_strategy_whose_trainings_all_diverge_ends_in_a_sentence(new_chain, small_params, capsys):
    row = small_params["strategies"]["scratch"]
    row["recipe"]["backbone"] = "compact"
    row["space"]["learning_rate"] = {"low": 1e30, "high": 2e30}
    chain = new_chain()
    assert chain.run("tune", "scratch") == 2
    said = capsys.readouterr().err
    assert "none of 2 trials could be trained to the end" in said
    assert "Traceback" not in said
    assert not chain.results()


def start(chain, strategy):
    """Start the stage in a process of its own."""
    command = [sys.executable, "-m", "pipeline.stages.tune", *chain.command("tune", strategy)]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": chain.uri}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)


def test_a_stage_that_was_killed_is_gone_on_with_to_the_same_bytes(chain, new_chain):
    killed = new_chain()
    process, latest = start(killed, "frozen"), time.monotonic() + 120
    while not list(killed.root.glob("work/units/*/epoch-*.json")):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < latest, "it began nothing"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert killed.runs()["frozen"].info.status == "RUNNING"
    assert not killed.results()

    assert killed.run("tune", "frozen") == 0
    assert killed.results() == {name: data for name, data in chain.results().items() if "tune/frozen" in name}
    runs, expected = killed.runs(), {"frozen": None, **chain.children("frozen", "tune")}
    assert set(runs) == set(expected)
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    storage = f"sqlite:///{killed.root / 'work' / 'optuna.db'}"
    (study,) = optuna.get_all_study_names(storage)
    trials = optuna.load_study(study_name=study, storage=storage).get_trials()
    assert [trial.number for trial in trials] == [0, 1]
    assert all(trial.state.is_finished() for trial in trials)


@pytest.mark.parametrize("several", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_any_number_of_workers_gives_the_same_bytes(several, new_chain, small_params):
    small_params["search"] |= {"trials_per_round": 4}
    small_params["strategies"]["frozen"] |= {"trials": 6}
    small_params["strategies"]["finetune"] |= {"trials": 5, "proxy": {"image_size": 16}, "confirm": 2}
    made = {}
    for workers in (1, several):
        small_params["search"]["workers"] = workers
        chain = new_chain()
        assert chain.run("tune", "frozen") == chain.run("tune", "finetune") == 0
        made[workers] = chain.results()
        assert {run.info.status for run in chain.runs().values()} == {"FINISHED"}
        assert len(chain.runs()) == 6 + 5 + 2 + 2
        assert chain.document("tune", "finetune")["recipe"]["image_size"] == 32  # the whole recipe's, not the proxy's
        assert chain.runs()["finetune trial 6"].data.tags["state"] == "CONFIRMED"
        shutil.rmtree(chain.root / "work")
    assert sorted(made[1]) == [f"results/tune/{name}" for name in
                               ("finetune.csv", "finetune.json", "frozen.csv", "frozen.json")]  # fmt: skip
    assert made[1] == made[several]


def test_a_search_ends_where_another_round_would_exceed_the_budget(new_chain, small_params):
    small_params["search"] |= {"trials_per_round": 1, "budget": 1.0}
    small_params["strategies"]["finetune"] |= {"proxy": {}, "confirm": None}
    other = new_chain()
    assert other.run("tune", "finetune") == 0
    result = json.loads((other.root / "results/tune/finetune.json").read_text())
    assert (sum(result["trials"].values()), result["ended_by"]) == (1, "budget")
    assert result["budget_flops"] == result["search_flops"]  # one training of the default recipe
    assert len(other.children("finetune", "tune")) == 1
