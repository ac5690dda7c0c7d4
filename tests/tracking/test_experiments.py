import os

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before mlflow loads: tests are offline

import json
import subprocess
import sys

from mlflow import MlflowClient

from pipeline.tracking.client import connect
from pipeline.tracking.experiments import (
    Dataset,
    dataset_inputs,
    held_out,
    open_experiment,
    provenance,
    train_and_valid,
)
from tests.support.imports import ROOT

OPEN = """
import sys
from pathlib import Path
from pipeline.tracking.client import connect
from pipeline.tracking.experiments import open_experiment
print(open_experiment(connect(Path(sys.argv[1])), Path(sys.argv[1]), "new"))
"""


def test_the_experiment_opens_as_one_of_model_training_with_artifacts_beside_the_database(tracking_uri, tmp_path):
    client = connect(tmp_path)
    made = open_experiment(client, tmp_path, "tiny")
    assert open_experiment(client, tmp_path, "tiny") == made
    found = MlflowClient(tracking_uri).get_experiment(made)
    assert found.tags["mlflow.experimentKind"] == "custom_model_development"
    assert found.artifact_location == (tmp_path / "mlartifacts").as_uri()


def test_processes_that_make_an_experiment_at_once_get_the_same(tracking_uri, tmp_path):
    started = [
        subprocess.Popen([sys.executable, "-c", OPEN, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for _ in range(2)
    ]
    said = {each.communicate()[0].strip() for each in started}
    assert said == {MlflowClient(tracking_uri).get_experiment_by_name("new").experiment_id}


def test_data_sets_carry_what_they_were_used_for(image_set, prepared):
    used = [*train_and_valid("tiny", prepared.dev, image_set), held_out("tiny", prepared.test, image_set)]
    logged = dataset_inputs((*used, Dataset("tiny", "all", "raw")))
    assert [[tag.value for tag in each.tags] for each in logged] == [["train"], ["valid"], ["test"], []]
    assert [each.dataset.name for each in logged] == ["tiny-train", "tiny-valid", "tiny-test", "tiny"]
    assert {each.dataset.digest for each in logged[:3]} == {image_set.digest}
    assert json.loads(logged[0].dataset.source) == {"uri": str(prepared.dev)}


def test_a_folder_that_is_no_repository_has_no_commit(tmp_path):
    tags = provenance(tmp_path)
    assert tags["dvc_lock"] == "none"
    assert not [name for name in tags if "git" in name]
    assert tags["mlflow.source.type"] == "LOCAL"
