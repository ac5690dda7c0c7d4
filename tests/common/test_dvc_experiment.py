import pytest

from pipeline.common.dvc_experiment import BASELINE, NAME, experiment


@pytest.mark.parametrize(("environment", "found"), [
    ({}, None), ({BASELINE: "abc", NAME: "sappy-dice"}, "sappy-dice"), ({BASELINE: "abc"}, "unnamed"),
])  # fmt: skip
def test_an_experiment_of_dvc_is_known_by_its_environment(environment, found, monkeypatch):
    for name in (BASELINE, NAME):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert experiment() == found
