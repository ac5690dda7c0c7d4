"""A team's set-up by URI alone: MLflow's server, which may die, on PostgreSQL, and models in an S3-compatible store."""

import subprocess
import sys
import time
from collections import Counter
from urllib.error import HTTPError
from urllib.request import urlopen

import boto3
import pytest
from mlflow import MlflowClient

from tests.support import servers
from tests.test_pipeline import Clone

pytestmark = pytest.mark.slow
PATIENCE = 600  # seconds; the machine may be busy with others' work


@pytest.fixture(scope="module")
def database():
    with servers.postgresql() as uri:
        yield uri


@pytest.fixture(scope="module")
def store():
    with servers.object_store() as environment:
        yield environment


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return Clone(tmp_path_factory.mktemp("clone"))


@pytest.fixture
def environment(monkeypatch, store):
    """The environment of one who uses the store."""
    for name, value in {**store, **servers.LOGIN}.items():
        monkeypatch.setenv(name, value)


def keys(store):
    bucket = boto3.resource("s3", endpoint_url=store["AWS_ENDPOINT_URL"]).Bucket(servers.BUCKET)
    return [found.key for found in bucket.objects.all()]


def runs(client):
    return client.search_runs([each.experiment_id for each in client.search_experiments()])


def test_a_run_whose_server_dies_goes_on_when_it_is_back_and_repeats_nothing(
    clone, database, store, environment, tmp_path, monkeypatch
):
    port, log = servers.free_port(), tmp_path / "server.log"
    clone.environment |= {**store, **servers.LOGIN, "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}
    with servers.mlflow_server(database, store, port, log):
        process = subprocess.Popen([sys.executable, "-m", "dvc", "repro"], cwd=clone.root, env=clone.environment,
                                   text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
        latest = time.monotonic() + PATIENCE
        while not (clone.root / "results" / "tune" / "frozen.json").exists():
            assert process.poll() is None, process.communicate()[0][-3000:]
            assert time.monotonic() < latest
            time.sleep(0.2)
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert f"127.0.0.1:{port}" in said
    assert "Traceback" not in said
    kept = {path: path.stat().st_mtime_ns for path in (clone.root / ".headstart").rglob("epoch-*.json")}
    assert kept

    with servers.mlflow_server(database, store, port, log) as address:
        clone.repro()
        assert {path: path.stat().st_mtime_ns for path in kept} == kept  # nothing was trained twice
        with pytest.raises(HTTPError, match="401"):
            urlopen(f"{address}/api/2.0/mlflow/experiments/get?experiment_id=0")
        client = MlflowClient(address, address)
        found = runs(client)
        assert {run.info.status for run in found} == {"FINISHED"}
        named = Counter((run.data.tags.get("mlflow.parentRunId"), run.info.run_name) for run in found)
        assert set(named.values()) == {1}
        assert clone.repro()[0] == []
        assert len(runs(client)) == len(found)

        import mlflow

        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        model = mlflow.pyfunc.load_model(client.get_model_version_download_uri("headstart-elpv", "1"))
        images = sorted((clone.root / "data" / "raw" / "elpv" / "images").iterdir())[:3]
        assert len(model.predict([image.read_bytes() for image in images])) == 3
    assert any(key.endswith("model.safetensors") for key in keys(store))
    assert not (clone.root / "mlflow.db").exists()
    assert not (clone.root / "mlartifacts").exists()


def test_a_database_and_a_store_do_without_a_server(clone, store, environment, tmp_path):
    before = len(keys(store))
    with servers.postgresql() as fresh:
        clone.environment |= {
            "MLFLOW_TRACKING_URI": fresh,
            "MLFLOW_DEFAULT_ARTIFACT_ROOT": f"s3://{servers.BUCKET}/direct",
        }
        clone._run(sys.executable, "-m", "dvc", "repro", "-s", "-f", "compare", "register")
        client = MlflowClient(fresh, fresh)
        assert client.get_registered_model("headstart-elpv").aliases["best-frozen"]
    assert len(keys(store)) > before
    assert not (clone.root / "mlartifacts").exists()
