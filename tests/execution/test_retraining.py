from functools import partial

import numpy as np
import pytest

from pipeline.common.process_pool import Executor
from pipeline.common.progress import TrialProgress
from pipeline.config.params import Train
from pipeline.execution import retraining
from pipeline.execution.jobs import open_context, run
from tests.execution.test_jobs import FEATURES, RUNTIME, recipe


@pytest.fixture
def make_context(prepared, tmp_path):
    return partial(open_context, prepared.dev, prepared.test, tmp_path, 0.2, FEATURES, RUNTIME)


def test_a_retraining_is_planned_for_each_seed_and_share_the_longest_first(make_context, capsys):
    planned = retraining.plan(recipe("input"), Train(seeds=(3, 1), fractions=(0.25, 1.0), epoch_scaling=0.5))
    assert [(job.fraction, job.seed, job.until) for job in planned] == [
        (1, 3, 2),
        (1, 1, 2),
        (0.25, 3, 4),
        (0.25, 1, 4),
    ]
    with Executor(1, make_context, run) as executor, TrialProgress("train", 4, 4) as bar:
        trained = retraining.run(planned, executor, bar)
    assert {share: list(by_seed) for share, by_seed in trained.items()} == {1.0: [3, 1], 0.25: [3, 1]}
    assert "train: 100%" in capsys.readouterr().err
    whole, quarter = (trained[share][1] for share in (1.0, 0.25))
    assert quarter.images == round(whole.images / 4)
    assert [len(outcome.epochs) for outcome in (whole, quarter)] == [2, 4]
    taken = retraining.wall_clock(planned, trained, make_context().setting)
    assert 0 < taken["cpu_seconds"] < 60
    assert 0 < taken["seconds_per_training"] < 600
    assert taken["images_per_second"] == pytest.approx(2 * whole.images / taken["seconds_per_training"])


def test_the_features_of_pretrained_weights_are_held_against_pixels(make_context):
    setting = make_context().setting
    assert retraining.separation(recipe(), setting, 1) is None
    known = retraining.separation(recipe(backbone="efficientnet_lite0", weights="pretrained"), setting, 1)
    assert {"h_score", "log_me", "ridge_accuracy", "pixels_ridge_accuracy", "majority"} <= set(known)
    assert known["majority"] == pytest.approx(np.bincount(setting.dev.labels).max() / len(setting.dev))
