from functools import partial

import pytest

from pipeline.common.progress import TrialProgress
from pipeline.config.params import Train
from pipeline.execution.jobs import executor, open_context
from pipeline.execution.retraining import Retrainings, retraining_jobs
from pipeline.execution.rounds import every_point
from pipeline.training import results
from tests.support.units import FEATURES, RUNTIME, recipe


def test_there_is_a_job_for_each_seed_and_share_the_longest_first(prepared, tmp_path, capsys):
    make_context = partial(open_context, prepared.dev, prepared.test, tmp_path, 0.2, FEATURES, RUNTIME)
    wanted = Train(seeds=(3, 1), fractions=(0.25, 1.0), epoch_scaling=0.5)
    jobs = retraining_jobs(recipe("input"), wanted, every_point(wanted))
    assert [(job.fraction, job.seed, job.until) for job in jobs] == [(1, 3, 2), (1, 1, 2), (0.25, 3, 4), (0.25, 1, 4)]
    with executor(1, make_context) as pool, TrialProgress("train", 4, 4) as bar:
        retrainings = Retrainings({"mine": recipe("input")}, wanted, make_context(), pool, bar)
        trained = retrainings.do({"mine": every_point(wanted)})["mine"]
    assert retrainings.jobs == {"mine": jobs}
    assert {share: list(by_seed) for share, by_seed in trained.items()} == {1.0: [3, 1], 0.25: [3, 1]}
    assert "train: 100%" in capsys.readouterr().err
    whole, quarter = (trained[share][1] for share in (1.0, 0.25))
    assert quarter.images == round(whole.images / 4)
    assert [len(outcome.epochs) for outcome in (whole, quarter)] == [2, 4]
    taken = results.wall_clock(trained, recipe("input"), wanted, make_context().run_context)
    assert 0 < taken["cpu_seconds"] < 60
    assert 0 < taken["seconds_per_training"] < 600
    assert taken["images_per_second"] == pytest.approx(2 * whole.images / taken["seconds_per_training"])
