"""Mirror what is on disk into MLflow, and the registry: the only import of mlflow (but for the served file).

Every run carries a `headstart.key` made of all that determines it. A run whose key is there is not logged again,
so a rerun adds nothing, and what a killed process left RUNNING is completed or closed by the next one.
"""

import json
import logging
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import wraps
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from pipeline.errors import UserError
from pipeline.records import Epoch, digest

KEY, OWNER = "headstart.key", "headstart.owner"
SERVED = ("mlflow", "numpy", "pandas", "pillow", "safetensors", "timm", "torch", "torchvision")


@dataclass(frozen=True)
class Dataset:
    """Name a data set by the digest of its content."""

    name: str
    digest: str
    source: str


def _explained(method: Any) -> Any:
    """Make a method say in a sentence when MLflow fails half-way, a server that went away for one."""

    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return method(*args, **kwargs)
        except MlflowException as error:
            reason = _shown(str(error).splitlines()[0])[:200]
            where = _shown(os.environ["MLFLOW_TRACKING_URI"])
            raise UserError(f"MLflow at {where}: {reason}\nWhat is trained is kept; run dvc repro again.") from None

    return call


class MlflowTracker:
    """Show runs in MLflow: SQLite at the repository root, or wherever MLFLOW_TRACKING_URI points."""

    def __init__(self, root: Path, experiment: str, dataset: Dataset) -> None:
        """Connect; raise UserError where the server does not answer."""
        self._client = connect(root)
        self._dataset = dataset
        self._experiment = _experiment(self._client, root, experiment)
        self._common = {**_provenance(root), "data": dataset.digest, OWNER: _owner()}
        self._close_orphans()

    @_explained
    def parent(self, key: str, name: str, tags: dict[str, str]) -> str:
        """Open, or go on with, the run of one stage; return its id."""
        found = self._find(key)
        if found:
            if found.info.status != "FINISHED":
                self._client.update_run(found.info.run_id, status="RUNNING")
                self._client.set_tag(found.info.run_id, OWNER, _owner())
            return str(found.info.run_id)
        return self._create(key, name, tags)

    @_explained
    def child(self, parent: str, key: str, name: str, params: dict[str, Any], epochs: Sequence[Epoch],
              metrics: dict[str, float], tags: dict[str, str]) -> None:  # fmt: skip
        """Log a finished unit under its stage."""
        from mlflow.entities import Metric, Param

        key = digest([parent, key])
        found = self._find(key)
        if found and found.info.status == "FINISHED":
            return
        if found:  # half logged when its process was killed
            self._client.delete_run(found.info.run_id)
        run = self._create(key, name, {**tags, "mlflow.parentRunId": parent})
        now = int(time.time() * 1000)
        points = [Metric("train_log_loss", e.train_loss, now, e.number) for e in epochs]
        points += [Metric(f"valid_{m}", v, now, e.number) for e in epochs for m, v in e.valid.items()]
        points += [Metric(name, value, now, 0) for name, value in metrics.items()]
        points = [point for point in points if point.value == point.value and abs(point.value) != float("inf")]
        settings = [Param(name, str(value)) for name, value in params.items()]
        for start in range(0, max(1, len(points)), 900):  # the server takes at most 1,000 a request
            self._client.log_batch(run, points[start : start + 900], settings if start == 0 else ())
        self._client.set_terminated(run, "FINISHED")

    @_explained
    def finish(self, run: str, metrics: dict[str, float], files: Iterable[Path]) -> None:
        """Close a stage's run with its summary and artifacts."""
        if self._client.get_run(run).info.status == "FINISHED":
            return
        for name, value in metrics.items():
            self._client.log_metric(run, name, value)
        for file in files:
            self._client.log_artifact(run, str(file))
        self._client.set_terminated(run, "FINISHED")

    @_explained
    def register(self, run: str, name: str, folder: Path, aliases: Sequence[str], tags: dict[str, str]) -> int:
        """Make a model folder a version of a registered model, unless it is one already; point aliases at it.

        Return the version. The model is code (serving.py) beside safetensors: nothing in it is pickled.
        """
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        versions = self._client.search_model_versions(f"name = '{name}'")
        known = [int(v.version) for v in versions if v.tags.get(KEY) == tags[KEY]]
        number = min(known) if known else self._log_version(run, name, folder, tags)
        for alias in aliases:
            self._client.set_registered_model_alias(name, alias, str(number))
        return number

    def _log_version(self, run: str, name: str, folder: Path, tags: dict[str, str]) -> int:
        import mlflow

        logging.getLogger("mlflow").setLevel(logging.ERROR)
        mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
        mlflow.set_experiment(experiment_id=self._experiment)
        with TemporaryDirectory() as temporary, mlflow.start_run(run_id=run):
            code = Path(temporary) / "model.py"
            code.write_text(_served_source(), encoding="utf-8")
            info = mlflow.pyfunc.log_model(
                name=name,
                python_model=str(code),
                artifacts={"model": str(folder)},
                pip_requirements=[f"{package}=={version(package).split('+')[0]}" for package in SERVED],
            )
        made = self._client.create_model_version(name, info.model_uri, run_id=run, tags=tags, model_id=info.model_id)
        return int(made.version)

    def _find(self, key: str) -> Any:
        found = self._client.search_runs([self._experiment], f"tags.`{KEY}` = '{key}'", max_results=1)
        return found[0] if found else None

    def _create(self, key: str, name: str, tags: dict[str, str]) -> str:
        from mlflow.entities import Dataset as MlflowDataset
        from mlflow.entities import DatasetInput

        run = self._client.create_run(self._experiment, run_name=name, tags={**self._common, **tags, KEY: key})
        data = MlflowDataset(
            self._dataset.name, self._dataset.digest, "local", json.dumps({"uri": self._dataset.source})
        )
        self._client.log_inputs(run.info.run_id, [DatasetInput(data)])
        return str(run.info.run_id)

    def _close_orphans(self) -> None:
        """Mark as KILLED what a process of this machine that is gone left RUNNING."""
        host = f"{socket.gethostname()}:"
        for run in self._client.search_runs([self._experiment], "attributes.status = 'RUNNING'", max_results=1000):
            owner = run.data.tags.get(OWNER, "")
            if owner.startswith(host) and not _alive(int(owner.removeprefix(host))):
                self._client.set_terminated(run.info.run_id, "KILLED")


def connect(root: Path) -> Any:
    """Return an MlflowClient; raise UserError, within seconds, where the server does not answer."""
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{root.resolve() / 'mlflow.db'}")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.pop("MLFLOW_RUN_ID", None)  # `mlflow run` sets it, and every run of ours would join that one
    os.environ.pop("MLFLOW_EXPERIMENT_ID", None)
    uri = os.environ["MLFLOW_TRACKING_URI"]
    from filelock import FileLock
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    _check_reachable(uri)
    try:
        with FileLock(root / ".headstart-mlflow.lock"):  # two processes that make the tables at once crash
            client = MlflowClient(tracking_uri=uri)
            client.search_experiments(max_results=1)
            return client
    except (MlflowException, OSError) as error:
        reason = _shown(str(error).splitlines()[0])[:200]
        raise UserError(f"MLflow at {_shown(uri)}: {reason}. Start the server, or unset MLFLOW_TRACKING_URI.") from None


def _check_reachable(uri: str) -> None:
    """Raise UserError where a server's address is none, or it does not answer within ten seconds."""
    try:
        parts = urlsplit(uri)
        if parts.scheme not in ("http", "https"):
            return
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=10)
        connection.request("GET", f"{parts.path.rstrip('/')}/health")
        connection.getresponse()  # any answer will do: a proxy may ask for a password first
    except (OSError, HTTPException, ValueError) as error:
        raise UserError(
            f"the MLflow server at {_shown(uri)} (MLFLOW_TRACKING_URI) does not answer: {error}. "
            "Start it, or unset MLFLOW_TRACKING_URI to write to mlflow.db."
        ) from None


def _shown(text: str) -> str:
    """Return a URI, or a message that quotes one, without its password."""
    return re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:***@", text)


def _experiment(client: Any, root: Path, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found:
        return str(found.experiment_id)
    local = os.environ["MLFLOW_TRACKING_URI"].startswith("sqlite")
    location = (root.resolve() / "mlartifacts").as_uri() if local else None
    # Without the tag, the UI opens in its mode for language-model applications.
    tags = {"mlflow.experimentKind": "custom_model_development"}
    return str(client.create_experiment(name, artifact_location=location, tags=tags))


def _provenance(root: Path) -> dict[str, str]:
    """Return tags that lead from a run back to the code and the data."""
    lock = root / "dvc.lock"
    git = subprocess.run(["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
                         capture_output=True, text=True, check=False)  # fmt: skip
    return {
        "git_commit": git.stdout.strip() or "none",
        "dvc_lock": digest(lock.read_text(encoding="utf-8")) if lock.exists() else "none",
    }


def _owner() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)  # others' processes may not be signalled, but live
    return True


def _served_source() -> str:
    """Return the code of the model file: serving.py and its MLflow end, one after the other."""
    here = Path(__file__).parent
    entry = (here / "serving_entry.py").read_text(encoding="utf-8")
    serving = (here / "serving.py").read_text(encoding="utf-8")
    return serving + "\n\n" + entry.replace("from pipeline.serving import Classifier\n", "")
