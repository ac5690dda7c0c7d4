"""Mirror what is on disk into MLflow: a run for each stage, and one below it for each trial or retraining.

Every run carries a `headstart.key` made of all that determines it. A run whose key is there is not logged again,
so a rerun adds nothing, and what a killed process left RUNNING is completed or closed by the next one.
"""

import json
import math
import os
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.common.hashes import digest
from pipeline.common.outcome import Epoch
from pipeline.common.provenance import commit
from pipeline.tracking.client import KEY, as_user_error, connect

OWNER, PARENT = "headstart.owner", "mlflow.parentRunId"
PAGE = 1000  # runs in an answer


@dataclass(frozen=True)
class Dataset:
    """A data set, identified by the digest of its content."""

    name: str
    digest: str
    source: str


@dataclass(frozen=True)
class RunRecord:
    """What MLflow shows of a finished trial or retraining: a run nested in that of its stage."""

    key: str  # no other record of the stage has it
    name: str
    params: dict[str, Any]
    epochs: Sequence[Epoch]
    metrics: dict[str, float]
    tags: dict[str, str]


class MlflowTracker:
    """Show runs in MLflow: SQLite at the repository root, or wherever MLFLOW_TRACKING_URI points."""

    def __init__(self, root: Path, experiment: str, dataset: Dataset) -> None:
        """Connect; raise UserError where the server does not answer."""
        self._client = connect(root)
        self._dataset = dataset
        self._experiment = _experiment(self._client, root, experiment)
        self._common = {**_provenance(root), "data": dataset.digest, OWNER: _owner()}
        self._logged: dict[str, set[str]] = {}  # keys of the runs that exist, by parent
        self._close_orphans()

    @contextmanager
    def stage(self, key: str, name: str, tags: dict[str, str]) -> Iterator[str]:
        """Open or resume the run of a stage; yield its id.

        If the block raises, the run becomes KILLED (after Ctrl-C) or FAILED, unless it had been finished before.
        The next process to open it resumes it.
        """
        run = self.parent(key, name, tags)
        try:
            yield run
        except BaseException as error:
            self._give_up(run, "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
            raise

    @as_user_error
    def parent(self, key: str, name: str, tags: dict[str, str]) -> str:
        """Open or resume the run of a stage; return its id."""
        found = self._search(f"tags.`{KEY}` = '{key}'")
        if not found:
            return self._create(key, name, tags)
        info = found[0].info
        if info.status != "FINISHED":
            self._client.update_run(info.run_id, status="RUNNING")
            self._client.set_tag(info.run_id, OWNER, _owner())
            self._log_data(info.run_id)  # its process may have been killed before; logging it twice does no harm
        return str(info.run_id)

    @as_user_error
    def children(self, parent: str, records: Iterable[RunRecord]) -> None:
        """Log records as runs nested in that of their stage, except those that exist."""
        logged = self._logged.pop(parent, None)  # if this is interrupted, the next call looks again
        if logged is None:
            logged = self._whole(parent)
        for record in records:
            key = digest([parent, record.key])
            if key not in logged:
                self._log(key, parent, record)
                logged.add(key)
        self._logged[parent] = logged

    @as_user_error
    def finish(self, run: str, metrics: dict[str, float], files: Iterable[Path]) -> None:
        """Close a stage's run with its summary and artifacts."""
        info = self._client.get_run(run).info
        if info.status == "FINISHED":
            return
        # At the time the run began, so that a second attempt writes the same points and not more.
        self._client.log_batch(run, _points(metrics, info.start_time))
        for file in files:
            self._client.log_artifact(run, str(file))
        self._client.set_terminated(run, "FINISHED")

    def _whole(self, parent: str) -> set[str]:
        """Return the keys of the runs nested in one; delete those that a killed process left half logged."""
        found = [run for run in self._search(f"tags.`{PARENT}` = '{parent}'") if KEY in run.data.tags]
        for run in found:
            if run.info.status != "FINISHED":
                self._client.delete_run(run.info.run_id)
        return {run.data.tags[KEY] for run in found if run.info.status == "FINISHED"}

    def _log(self, key: str, parent: str, record: RunRecord) -> None:
        """Log a record; its run becomes FINISHED last, so that any other is known to be half logged."""
        from mlflow.entities import Param

        run = self._create(key, record.name, {**record.tags, PARENT: parent})
        now = int(time.time() * 1000)
        points = _points(record.metrics, now)
        for epoch in record.epochs:
            valid = {f"valid_{name}": value for name, value in epoch.valid.items()}
            points += _points({"train_log_loss": epoch.train_loss, **valid}, now, epoch.number)
        self._client.log_batch(run, points, [Param(name, str(value)) for name, value in record.params.items()])
        self._client.set_terminated(run, "FINISHED")

    def _create(self, key: str, name: str, tags: dict[str, str]) -> str:
        run = self._client.create_run(self._experiment, run_name=name, tags={**self._common, **tags, KEY: key})
        self._log_data(run.info.run_id)
        return str(run.info.run_id)

    def _log_data(self, run: str) -> None:
        from mlflow.entities import Dataset as MlflowDataset
        from mlflow.entities import DatasetInput

        source = json.dumps({"uri": self._dataset.source})
        data = MlflowDataset(self._dataset.name, self._dataset.digest, "local", source)
        self._client.log_inputs(run, [DatasetInput(data)])

    def _search(self, wanted: str) -> list[Any]:
        """Return the runs that match a filter, from all pages."""
        found, token = [], None
        while True:
            page = self._client.search_runs([self._experiment], wanted, max_results=PAGE, page_token=token)
            found += page
            token = page.token
            if not token:
                return found

    def _give_up(self, run: str, status: str) -> None:
        from mlflow.exceptions import MlflowException

        with suppress(MlflowException):  # the block's own error says more
            if self._client.get_run(run).info.status != "FINISHED":
                self._client.set_terminated(run, status)

    def _close_orphans(self) -> None:
        """Mark as KILLED the runs that dead processes of this machine left RUNNING."""
        host = f"{socket.gethostname()}:"
        for run in self._search("attributes.status = 'RUNNING'"):
            owner = run.data.tags.get(OWNER, "")
            if owner.startswith(host) and not _alive(int(owner.removeprefix(host))):
                self._client.set_terminated(run.info.run_id, "KILLED")


def _points(values: dict[str, float], time_ms: int, step: int = 0) -> list[Any]:
    """Return metrics for MLflow, without those that are not finite."""
    from mlflow.entities import Metric

    return [Metric(name, value, time_ms, step) for name, value in values.items() if math.isfinite(value)]


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
    return {
        "git_commit": commit(root) or "none",
        "dvc_lock": digest(lock.read_text(encoding="utf-8")) if lock.exists() else "none",
    }


def _owner() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)  # another user's process may not be signalled, but is alive
    return True
