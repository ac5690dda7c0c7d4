import os

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before mlflow loads: tests are offline

import pytest

from pipeline.tracking import logged_models
from pipeline.tracking.client import KEY
from pipeline.tracking.registry import Registry, Version


@pytest.fixture
def register(client, run, model, tmp_path):
    """A function that registers the model of a seed, as each process does with a registry of its own."""

    def call(seed, *aliases):
        tags = {KEY: f"key-{seed}", "strategy": "frozen", "data": f"data-{seed}"}
        logged = logged_models.find_or_log(client, run, model(seed), "frozen", {})
        return Registry(tmp_path, "tiny-model").add(logged, aliases, tags)

    return call


def aliases(client):
    return {name: int(number) for name, number in client.get_registered_model("tiny-model").aliases.items()}


def test_each_model_is_a_version_once_and_aliases_move(register, client):
    assert register(1, "best-frozen", "champion") == 1
    assert register(2, "best-scratch") == 2
    assert register(1, "best-frozen") == 1
    assert [int(v.version) for v in client.search_model_versions("name = 'tiny-model'")] == [2, 1]
    assert aliases(client) == {"best-frozen": 1, "champion": 1, "best-scratch": 2}
    assert register(2, "champion") == 2
    assert aliases(client) == {"best-frozen": 1, "champion": 2, "best-scratch": 2}
    assert client.get_model_version("tiny-model", "1").tags == {
        KEY: "key-1", "strategy": "frozen", "data": "data-1"
    }  # fmt: skip


def test_the_champion_is_reported_with_its_data_wherever_its_alias_was_left(register, client, tmp_path):
    registry = Registry(tmp_path, "tiny-model")
    assert registry.champion() is None
    register(1, "champion")
    register(2, "best-frozen")
    assert registry.champion() == Version(1, "frozen", "data-1")
    client.delete_model_version_tag("tiny-model", "1", "data")  # as on one that somebody else registered
    assert registry.champion() == Version(1, "frozen", "unknown")
    client.delete_registered_model_alias("tiny-model", "champion")
    assert registry.champion() is None


def test_registering_does_not_close_the_stages_run(register, client, run):
    register(1)
    assert client.get_run(run).info.status == "RUNNING"
    assert [model.model_id for model in client.get_run(run).outputs.model_outputs]


def test_a_run_that_surrounds_the_process_is_not_joined(register, client, run, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "f" * 32)  # as `mlflow run` does
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "7")
    register(1, "champion")
    assert client.get_model_version("tiny-model", "1").run_id == run
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    assert [found.info.run_id for found in client.search_runs(experiments)] == [run]
