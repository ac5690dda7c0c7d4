"""What is counted before runs are logged is what they write, in a real database."""

import pytest

from benchmarks.database import calls_made, finished, rows_written
from pipeline.config.recipe import Recipe
from pipeline.tracking import footprint
from pipeline.tracking.arm_runs import ArmTracker
from pipeline.tracking.experiments import Dataset
from pipeline.tracking.trial_records import trial_record

RECIPE = Recipe(backbone="compact", weights="random", cut="input", epochs=6, learning_rate=0.1)
DATA = [Dataset("tiny-train", "d", "dev", "train"), Dataset("tiny-valid", "d", "dev", "valid")]


@pytest.mark.parametrize("epochs", [1, 6, 30])
def test_the_calls_and_the_rows_of_a_run_are_known(epochs, tracking_uri, tmp_path):
    tracker = ArmTracker(tmp_path, "tiny", *DATA)
    tags = {"strategy": "scratch", "backbone": "compact", "stage": "tune", "seed": "0"}
    records = [trial_record(finished(RECIPE, n, epochs, {}), "scratch", tags) for n in range(4)]
    with tracker.searching("scratch", "key", tags) as parent:
        tracker.children(parent, records[:1])
        with rows_written() as rows, calls_made(tracker._client) as calls:
            tracker.children(parent, records[1:])
    assert sum(calls.values()) == footprint.calls(3)
    assert sum(rows.values()) == pytest.approx(footprint.rows(3, 3 * epochs), rel=0.05)
