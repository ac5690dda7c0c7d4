"""Mirror what is on disk into MLflow: a run for each arm, below it one for each trial and retraining; stages elsewhere.

An arm is a strategy, on a backbone. Every run carries tags made of all that determines it. What is there is not logged
again, so a rerun adds nothing, and what a killed process left RUNNING is completed or closed by the next one.
"""

import math
import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.common.hashes import digest
from pipeline.common.outcome import Epoch
from pipeline.tracking.client import KEY, as_user_error, connect
from pipeline.tracking.experiments import STAGES, Dataset, dataset_inputs, open_experiment, provenance

OWNER, PARENT = "headstart.owner", "mlflow.parentRunId"
PAGE = 1000  # runs in an answer


@dataclass(frozen=True)
class RunRecord:
    """What MLflow shows of a finished trial or retraining: a run nested in that of its arm."""

    key: str  # no other record of the arm has it
    name: str
    params: dict[str, Any]
    epochs: Sequence[Epoch]
    metrics: dict[str, float]
    tags: dict[str, str]
    seconds: float = 0.0  # that it took


class MlflowTracker:
    """Show runs in MLflow: SQLite at the repository root, or wherever MLFLOW_TRACKING_URI points."""

    def __init__(self, root: Path, experiment: str, *datasets: Dataset) -> None:
        """Connect; raise UserError where the server does not answer."""
        self._client = connect(root)
        self._datasets = datasets
        self._arms = open_experiment(self._client, root, experiment)
        self._stages = open_experiment(self._client, root, STAGES.format(experiment))
        self._common = {**provenance(root), "data": datasets[0].digest, OWNER: _owner()}
        self._logged: dict[str, set[str]] = {}  # keys of the runs that exist, by parent
        self._close_orphans()

    @contextmanager
    def stage(self, key: str, name: str, tags: dict[str, str]) -> Iterator[str]:
        """Open or resume the run of a stage, in an experiment of its own; yield its id.

        If the block raises, the run becomes KILLED (after Ctrl-C) or FAILED, unless it had been finished before.
        The next process to open it resumes it.
        """
        with self._held(self.open_stage(key, name, tags)) as run:
            yield run

    def open_stage(self, key: str, name: str, tags: dict[str, str]) -> str:
        """Open or resume the run of a stage; return its id."""
        return self._open(self._stages, {KEY: key}, name, tags)

    @contextmanager
    def _held(self, run: str) -> Iterator[str]:
        try:
            yield run
        except BaseException as error:
            self._give_up(run, "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
            raise

    @as_user_error
    def _open(self, experiment: str, known_by: dict[str, str], name: str, tags: dict[str, str], done: str = KEY) -> str:
        """Open or resume the run that has a tag; return its id. It is done once it is FINISHED and has tag `done`."""
        ((tag, value),) = known_by.items()
        found = self._search([experiment], f"tags.`{tag}` = '{value}'")
        if not found:
            return self._create(experiment, name, {**tags, **known_by})
        if not _is_done(found[0], done):
            self._reopen(found[0].info.run_id)
        return str(found[0].info.run_id)

    @as_user_error
    def latest_stage(self, stage: str) -> str:
        """Return the id of the latest run of a stage; empty where there is none."""
        found = self._search([self._stages], f"tags.stage = '{stage}'")
        return str(found[0].info.run_id) if found else ""

    def _reopen(self, run: str) -> None:
        self._client.update_run(run, status="RUNNING")
        self._client.set_tag(run, OWNER, _owner())
        self._log_data(run)  # its process may have been killed before; logging it twice does no harm

    @as_user_error
    def children(self, parent: str, records: Iterable[RunRecord]) -> None:
        """Log records as runs nested in another, except those that exist."""
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
    def finish(self, run: str, metrics: Mapping[str, float], files: Iterable[Path], done: Mapping[str, str] = {},
               folder: str | None = None) -> None:  # fmt: skip
        """Close a run with its summary, its artifacts (in a folder of their own, if named), and tags that say so."""
        found = self._client.get_run(run)
        if _is_done(found, *done):
            return
        # At the time the run began, so that a second attempt writes the same points and not more.
        self._client.log_batch(run, points(metrics, found.info.start_time))
        for file in files:
            self._client.log_artifact(run, str(file), folder)
        for tag, value in done.items():
            self._client.set_tag(run, tag, value)
        self._client.set_terminated(run, "FINISHED")

    def _whole(self, parent: str) -> set[str]:
        """Return the keys of the runs nested in one; delete those that a killed process left half logged."""
        found = [run for run in self._search([self._arms], f"tags.`{PARENT}` = '{parent}'") if KEY in run.data.tags]
        for run in found:
            if run.info.status != "FINISHED":
                self._client.delete_run(run.info.run_id)
        return {run.data.tags[KEY] for run in found if run.info.status == "FINISHED"}

    def _log(self, key: str, parent: str, record: RunRecord) -> None:
        """Log a record; its run becomes FINISHED last, so that any other is known to be half logged."""
        from mlflow.entities import Param

        end = now()
        tags = {**record.tags, PARENT: parent, KEY: key}
        run = self._create(self._arms, record.name, tags, end - round(1000 * record.seconds))
        measured = points(record.metrics, end)
        for epoch in record.epochs:
            valid = {f"valid_{name}": value for name, value in epoch.valid.items()}
            measured += points({"train_log_loss": epoch.train_loss, **valid}, end, epoch.number)
        self._client.log_batch(run, measured, [Param(name, str(value)) for name, value in record.params.items()])
        self._client.set_terminated(run, "FINISHED", end)

    def _create(self, experiment: str, name: str, tags: dict[str, str], start: int | None = None) -> str:
        run = self._client.create_run(experiment, start, {**self._common, **tags}, name)
        self._log_data(run.info.run_id)
        return str(run.info.run_id)

    def _log_data(self, run: str) -> None:
        self._client.log_inputs(run, dataset_inputs(self._datasets))

    def _search(self, experiments: list[str], wanted: str) -> list[Any]:
        """Return the runs that match a filter, from all pages, the latest first."""
        found, token = [], None
        while True:
            page = self._client.search_runs(experiments, wanted, max_results=PAGE, page_token=token)
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
        for run in self._search([self._arms, self._stages], "attributes.status = 'RUNNING'"):
            owner = run.data.tags.get(OWNER, "")
            if owner.startswith(host) and not _alive(int(owner.removeprefix(host))):
                self._client.set_terminated(run.info.run_id, "KILLED")


def points(values: Mapping[str, float], time_ms: int, step: int = 0, linked: Mapping[str, str] = {}) -> list[Any]:
    """Return metrics for MLflow, without those that are not finite; `linked` names a model, and data, they are of."""
    from mlflow.entities import Metric

    return [Metric(name, value, time_ms, step, **linked) for name, value in values.items() if math.isfinite(value)]


def _is_done(run: Any, *tags: str) -> bool:
    return run.info.status == "FINISHED" and all(tag in run.data.tags for tag in tags)


def now() -> int:
    """Return the time as MLflow has it, in milliseconds."""
    return int(time.time() * 1000)


def _owner() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)  # another user's process may not be signalled, but is alive
    return True
