import math
import os
from collections import Counter
from contextlib import suppress
from itertools import count

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before mlflow loads: tests are offline

import pytest

from pipeline.tracking.arm_runs import ArmTracker, ScoredArm
from pipeline.tracking.experiments import Dataset
from pipeline.tracking.runs import RunRecord
from tests.support.served import tiny_model

DATA = [Dataset("tiny-train", "d", "dev", "train"), Dataset("tiny-test", "t", "test", "test", "4 images")]
RECIPE = {"epochs": 2, "cut": "head"}


class Killed(BaseException):
    pass


class Mortal:
    """A client whose process is killed after some calls: it does no more, whatever is asked of it."""

    def __init__(self, client, left):
        self.client, self.left = client, left

    def __getattr__(self, name):
        def call(*args, **kwargs):
            if self.left == 0:
                raise Killed
            self.left -= 1
            return getattr(self.client, name)(*args, **kwargs)

        return call


class Steps:
    """What the stages do, in a folder."""

    def __init__(self, root, client, model):
        self.root, self.client, self.model = root, client, model
        (root / "trials.csv").write_text("trial\n")

    def tracker(self, left=math.inf):
        made = ArmTracker(self.root, "tiny", *DATA)
        made._client = Mortal(made._client, left)
        return made

    def file(self, name, text):
        (self.root / name).write_text(text)
        return self.root / name

    def tune(self, tracker, key="s"):
        tuned = self.file("tuned.json", f"recipe of {key}")
        with tracker.searching("frozen", key, {"stage": "arm"}) as run:
            tracker.children(run, [RunRecord("trial-0", f"trial 0 of {key}", RECIPE, [], {"flops": 1}, {})])
            tracker.searched(run, tuned, {"search_valid_log_loss": 0.5}, [self.root / "trials.csv"])
        return run

    def train(self, tracker, key="t", search="s"):
        tuned, result = (self.file(f"{name}.json", text) for name, text in
                         (("tuned", f"recipe of {search}"), ("result", f"result of {key}")))  # fmt: skip
        with tracker.training("frozen", key, tuned, {"stage": "arm"}) as run:
            tracker.children(run, [RunRecord("seed-1-1", f"seed 1 of {key}", RECIPE, [], {"flops": 1}, {}, 9.0)])
            tracker.trained(run, result, RECIPE, self.model, {"test_accuracy": 0.8, "model_test_accuracy": 0.75})
        return run

    def compare(self, tracker, low=0.7, key="t", verdict="recommended"):
        result = self.file("result.json", f"result of {key}")
        return tracker.score(
            ScoredArm(
                "frozen",
                result,
                RECIPE,
                {"test_accuracy": 0.8, "test_accuracy_low": low, "train_flops": 5.0},
                {"verdict": verdict},
                (self.file("README.md", "card"),),
            )
        )

    def all(self, tracker, key):
        self.tune(tracker, f"s{key}")
        self.train(tracker, f"t{key}", f"s{key}")
        return self.compare(tracker, key=f"t{key}")

    def whole(self, run):
        """Return all that an arm's run and those below it hold, but for ids, keys and times."""
        experiment = self.client.get_experiment_by_name("tiny").experiment_id
        below = self.client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run}'")
        runs = [self.client.get_run(run), *sorted(below, key=lambda each: len(each.info.run_name))]
        return [
            (
                each.info.status,
                each.data.params,
                {name: [(m.step, m.value) for m in self.client.get_metric_history(each.info.run_id, name)]
                 for name in each.data.metrics},
                {data.dataset.name: [tag.value for tag in data.tags] for data in each.inputs.dataset_inputs},
                [file.path for file in self.client.list_artifacts(each.info.run_id)],
            )
            for each in runs
        ]  # fmt: skip


@pytest.fixture
def steps(client, tmp_path):
    tracker = ArmTracker(tmp_path, "tiny", *DATA)
    run = tracker.open_stage("made", "made", {})
    tracker.finish(run, {}, [])
    model = client.create_logged_model(tracker._arms, "frozen", run)
    return Steps(tmp_path, client, model.model_id)


def arms(client):
    found = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    return [run for run in found if "mlflow.parentRunId" not in run.data.tags]


def test_an_arm_is_one_run_from_search_to_comparison(steps, client):
    tuned, trained = steps.tune(steps.tracker()), steps.train(steps.tracker())
    assert tuned == trained == steps.compare(steps.tracker())
    (run,) = arms(client)
    assert (run.info.run_name, run.info.status, run.data.tags["verdict"]) == ("frozen", "FINISHED", "recommended")
    assert run.data.params == {"epochs": "2", "cut": "head"}
    assert run.data.metrics == {"search_valid_log_loss": 0.5, "test_accuracy": 0.8, "test_accuracy_low": 0.7,
                                "model_test_accuracy": 0.75, "train_flops": 5}  # fmt: skip
    assert {d.dataset.name: d.tags[0].value for d in run.inputs.dataset_inputs} == {
        "tiny-train": "train", "tiny-test": "test"}  # fmt: skip
    (_, *below) = steps.whole(run.info.run_id)
    assert len(below) == 2


def test_seconds_of_a_record_are_the_runs_duration(steps, client):
    steps.train(steps.tracker())
    found = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    (seed,) = [run for run in found if run.info.run_name == "seed 1 of t"]
    assert seed.info.end_time - seed.info.start_time == 9000


def test_scores_are_those_of_the_model_on_the_test_images(steps, client):
    steps.train(steps.tracker())
    steps.compare(steps.tracker())
    found = {m.key: (m.value, m.dataset_name) for m in client.get_logged_model(steps.model).metrics}
    assert found == {"model_test_accuracy": (0.75, "tiny-test"), "test_accuracy_low": (0.7, "tiny-test"),
                     "test_accuracy": (0.8, "tiny-test"), "train_flops": (5, None)}  # fmt: skip


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_a_process_killed_between_any_two_calls_leaves_nothing_out_and_nothing_twice(every, steps, client):
    expected = steps.whole(steps.all(steps.tracker(), "reference"))
    for calls in count(0, every):
        tracker = steps.tracker(calls)
        with suppress(Killed):
            steps.all(tracker, calls)
        run = steps.all(steps.tracker(), calls)
        assert steps.whole(run) == expected, calls
        if tracker._client.left:
            break
    assert Counter(run.info.status for run in arms(client)) == {"FINISHED": calls // every + 2}
    assert calls > 20


def test_a_recipe_that_is_trained_in_another_way_is_another_arm_and_the_first_stays(steps, client):
    tuned, first = steps.tune(steps.tracker()), steps.train(steps.tracker(), "five seeds")
    second = steps.train(steps.tracker(), "ten seeds")
    assert (first, len({first, second})) == (tuned, 2)
    assert steps.train(steps.tracker(), "five seeds") == first
    assert steps.compare(steps.tracker(), key="ten seeds") == second
    assert len(arms(client)) == 2


def test_what_is_said_anew_is_the_latest_even_if_it_is_less(steps, client):
    steps.train(steps.tracker())
    run = steps.compare(steps.tracker(), 0.7)
    steps.compare(steps.tracker(), 0.6, verdict="significantly worse")
    assert client.get_run(run).data.metrics["test_accuracy_low"] == 0.6
    assert client.get_run(run).data.tags["verdict"] == "significantly worse"
    steps.compare(steps.tracker(), 0.6)
    assert len(client.get_metric_history(run, "test_accuracy_low")) == 2


def test_in_a_new_database_the_comparison_makes_what_is_not_there(steps, client):
    run = steps.compare(steps.tracker())
    assert [arm.info.run_id for arm in arms(client)] == [run]
    assert client.get_run(run).info.status == "FINISHED"
    assert steps.compare(steps.tracker()) == run


def test_the_model_of_a_folder_is_logged_once_and_by_the_arm(steps, client, tmp_path):
    tracker, folder = steps.tracker(), tiny_model(tmp_path)
    model = tracker.model("frozen", folder, RECIPE)
    assert steps.tracker().model("frozen", folder, RECIPE) == model
    logged = client.get_logged_model(model)
    assert (logged.name, logged.params) == ("frozen", {"epochs": "2", "cut": "head"})
    assert client.get_run(logged.source_run_id).info.run_name == "frozen"
