import os
import subprocess
import sys

import pytest
import yaml

from pipeline.common.dvc_experiment import BASELINE, NAME, experiment
from tests.support.imports import ROOT


@pytest.mark.parametrize(("environment", "found"), [
    ({}, None), ({BASELINE: "abc", NAME: "sappy-dice"}, "sappy-dice"), ({BASELINE: "abc"}, "unnamed"),
])  # fmt: skip
def test_an_experiment_of_dvc_is_known_by_its_environment(environment, found, monkeypatch):
    for name in (BASELINE, NAME):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert experiment() == found


@pytest.fixture
def repository(tmp_path):
    """A repository of DVC with a stage that asks; returns a function that runs DVC there and says what was found."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "GIT_"))}
    environment |= {"PYTHONPATH": str(ROOT), "GIT_CONFIG_GLOBAL": os.devnull, "DVC_NO_ANALYTICS": "true"}

    def call(*words):
        subprocess.run(words, cwd=tmp_path, env=environment, check=True, capture_output=True)

    ask = (
        f'{sys.executable} -c "from pipeline.common.dvc_experiment import experiment; print(experiment())" > found.txt'
    )
    (tmp_path / "dvc.yaml").write_text(
        yaml.safe_dump(
            {"stages": {"ask": {"cmd": ask, "deps": ["dep.txt"], "outs": [{"found.txt": {"cache": False}}]}}}
        )
    )
    (tmp_path / "dep.txt").write_text("0")
    call("git", "init", "-q")
    call(sys.executable, "-m", "dvc", "init", "-q")
    call("git", "add", "-A")
    call("git", "-c", "user.name=n", "-c", "user.email=e@e", "commit", "-qm", "first")

    def dvc(*words):
        (tmp_path / "dep.txt").write_text(str(words))
        call(sys.executable, "-m", "dvc", *words)
        return (tmp_path / "found.txt").read_text().strip()

    return dvc


@pytest.mark.slow
def test_dvc_tells_the_stages_of_an_experiment_and_no_others(repository):
    assert repository("repro") == "None"
    assert repository("exp", "run", "-n", "sappy-dice") == "sappy-dice"
    assert repository("exp", "run") not in ("None", "unnamed", "sappy-dice")
    assert repository("repro") == "None"
