"""The run of an arm: stage tune opens it, train and race go on with it, compare writes the comparison into it.

Each finds it by a tag with what it knows: tune by the key of its search; train by the search's result, or by its own
key; race by train's result; compare by that of race. Where an arm is not there, as in a new database, it is made from
what is on disk.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.common.hashes import file_digest
from pipeline.tracking import logged_models
from pipeline.tracking.client import KEY, NOTE, as_user_error
from pipeline.tracking.experiments import SHARED, VIEW, arms_view
from pipeline.tracking.runs import MlflowTracker, RunRecord, now, points

SEARCH, TUNED, TRAINING, RESULT, RACED = (
    f"headstart.{name}" for name in ("search", "tuned", "training", "result", "raced")
)
MEASURED = ("valid", "test")  # the splits that scores are measured on
MODEL = "headstart.model"  # the id of the logged model


@dataclass(frozen=True)
class ScoredArm:
    """What stage compare says of an arm."""

    name: str
    result: Path  # of stage race, or of stage train, which gave the same
    params: dict[str, Any]
    metrics: dict[str, float]
    tags: dict[str, str]
    files: tuple[Path, ...] = ()


class ArmTracker(MlflowTracker):
    """Keep the runs of arms."""

    @property
    def experiments(self) -> tuple[str, str]:
        """Return the ids of the experiments of arms and of stages."""
        return self._arms, self._stages

    @contextmanager
    def searching(self, arm: str, key: str, tags: dict[str, str]) -> Iterator[str]:
        """Open or resume the run of an arm whose recipe is searched for; yield its id. An error ends both."""
        with self._held(self._open(self._arms, {SEARCH: key}, arm, tags, TUNED)) as run:
            yield run

    def searched(self, run: str, tuned: Path, metrics: Mapping[str, float], files: Iterable[Path]) -> None:
        """Close it with the search's result, a file, and summary."""
        self.finish(run, metrics, files, {TUNED: file_digest(tuned)}, "search")

    @contextmanager
    def training(self, arm: str, key: str, tuned: Path, tags: dict[str, str]) -> Iterator[str]:
        """Open or resume the run of an arm that is trained; yield its id.

        It is the one whose search gave `tuned`, unless that has been trained in another way: then it is a new one.
        """
        with self._held(self._claimed(arm, key, file_digest(tuned), tags)) as run:
            yield run

    @as_user_error
    def _claimed(self, arm: str, key: str, tuned: str, tags: dict[str, str]) -> str:
        if not self._search([self._arms], f"tags.`{TRAINING}` = '{key}'"):
            free = [run for run in self._search([self._arms], f"tags.`{TUNED}` = '{tuned}'")
                    if TRAINING not in run.data.tags]  # fmt: skip
            if free:
                self._client.set_tag(free[0].info.run_id, TRAINING, key)
        return self._open(self._arms, {TRAINING: key}, arm, tags, RESULT)

    @as_user_error
    def trained(self, run: str, result: Path, params: dict[str, Any], model: str, metrics: Mapping[str, float]) -> None:
        """Close it with the result, a file, the recipe, the logged model, and scores, which are linked to the model."""
        began = self._client.get_run(run).info.start_time
        self._client.log_batch(run, self._points(metrics, began, model), _params(params))
        self.finish(run, {}, [], {MODEL: model, RESULT: file_digest(result)})

    @as_user_error
    def raced(self, arm: str, trained: Path, result: Path, records: Iterable[RunRecord], tags: dict[str, str]) -> None:
        """Log further retrainings below the run of an arm, which gave `trained`, a file, and note the file with all."""
        run = self._open(self._arms, {RESULT: file_digest(trained)}, arm, tags, RESULT)
        self.children(run, records)
        self._client.set_tag(run, RACED, file_digest(result))

    def _points(self, metrics: Mapping[str, float], time_ms: int, model: str | None) -> list[Any]:
        """Return metrics linked to a model, if there is one, and scores to the images that they were measured on."""
        found = []
        for name, value in metrics.items():
            data = next(
                (each for each in self._datasets if each.context in MEASURED and f"{each.context}_" in name), None
            )
            on = {"dataset_name": data.name, "dataset_digest": data.digest} if data else {}
            found += points({name: value}, time_ms, linked={"model_id": model, **on} if model else {})
        return found

    @as_user_error
    def score(self, arm: ScoredArm) -> str:
        """Write an arm's part of the comparison into its run, and link it to its model; return the run's id.

        What is there already is not added again; what differs is added, and counts as the latest.
        """
        from mlflow.entities import RunTag

        found = file_digest(arm.result)
        raced = self._search([self._arms], f"tags.`{RACED}` = '{found}'")
        run = self._client.get_run(
            self._open(self._arms, {RACED if raced else RESULT: found}, arm.name, arm.tags, RESULT)
        )
        known, model = run.data.metrics, run.data.tags.get(MODEL)
        measured = self._points(_changed(arm.metrics, known), now(), model)
        for file in arm.files:
            self._client.log_artifact(run.info.run_id, str(file))
        tags = [RunTag(name, value) for name, value in arm.tags.items()]
        self._client.log_batch(run.info.run_id, measured, _params(arm.params), tags)
        if run.info.status != "FINISHED":
            self._client.set_terminated(run.info.run_id, "FINISHED")
        return str(run.info.run_id)

    @as_user_error
    def describe(self, note: str, metrics: Sequence[str]) -> None:
        """Show a note, Markdown, above the runs of arms, and make the view of them that has these metrics."""
        self._client.set_experiment_tag(self._arms, SHARED + VIEW, arms_view(metrics))
        self._client.set_experiment_tag(self._arms, NOTE, note)

    @as_user_error
    def model(self, arm: str, folder: Path, params: dict[str, Any]) -> str:
        """Return the id of the logged model of a folder; log it first where stage train did not."""
        found = logged_models.find(self._client, self._arms, folder)
        if found:
            return found
        run = self._open(self._arms, {KEY: f"model-{logged_models.model_key(folder)}"}, arm, {"stage": "register"})
        model = logged_models.find_or_log(self._client, run, folder, arm, params)
        self.finish(run, {}, [])
        return model

    @as_user_error
    def log_model(self, run: str, arm: str, folder: Path, params: dict[str, Any], example: np.ndarray) -> str:
        """Log the model of a folder as a result of the arm's run, unless it is there; return its id."""
        return logged_models.find_or_log(self._client, run, folder, arm, params, example)


def _params(params: Mapping[str, Any]) -> list[Any]:
    from mlflow.entities import Param

    return [Param(name, str(value)) for name, value in params.items()]


def _changed(values: Mapping[str, float], known: Mapping[str, float]) -> dict[str, float]:
    """Return the values that are not known, but for the rounding of what is read from files."""
    return {name: value for name, value in values.items()
            if name not in known or not math.isclose(value, known[name], rel_tol=1e-9, abs_tol=1e-9)}  # fmt: skip
