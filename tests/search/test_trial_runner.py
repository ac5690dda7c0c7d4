from functools import partial

import pytest

from pipeline.common.progress import TrialProgress
from pipeline.execution.jobs import executor, open_context
from pipeline.search.trial_runner import TrialRunner, jobs_of_rung
from pipeline.search.trials import Rung
from tests.support.units import FEATURES, RUNTIME, recipe

RUNG = Rung("a cohort", {4: recipe(3), 5: recipe(dropout=0.1), 6: recipe(head="mlp"), 7: recipe(), 8: recipe("input")},
            dict.fromkeys((4, 5, 6, 7, 8), 2))  # fmt: skip


@pytest.fixture
def make_context(prepared, tmp_path):
    return lambda name: partial(open_context, prepared.dev, None, tmp_path / name, 0.2, FEATURES, RUNTIME)


def test_heads_of_one_shape_share_a_job_and_the_rest_have_one_each():
    jobs = jobs_of_rung(RUNG, 3)
    assert [job.numbers for job in jobs] == [(4,), (5, 7), (6,), (8,)]
    assert [job.cohort for job in jobs] == ["", "a cohort", "a cohort", ""]
    assert {(job.seed, job.until) for job in jobs} == {(3, 2)}
    assert all(job.recipes == tuple(RUNG.recipes[n] for n in job.numbers) for job in jobs)


@pytest.mark.parametrize("alone", [{"mixup": 0.2}, {"ema": 0.9}, {"gradient_clip": 1.0}])
def test_heads_that_a_stack_cannot_train_have_a_job_each(alone):
    jobs = jobs_of_rung(
        Rung("a cohort", {1: recipe(), 2: recipe(**alone), 3: recipe()}, dict.fromkeys((1, 2, 3), 2)), 3
    )
    assert [(job.numbers, job.cohort) for job in jobs] == [((1, 3), "a cohort"), ((2,), "")]


def test_any_number_of_workers_trains_the_same_and_every_epoch_is_shown(make_context, capsys):
    found = {}
    for workers in (1, 2):
        context = make_context(f"work {workers}")
        with executor(workers, context) as pool, TrialProgress("tune", 5, 5) as bar:
            runner = TrialRunner(pool, bar, 1)
            found[workers] = runner.train(RUNG)
            assert list((context().run_context.work / "units").glob("*/*.pt")) == []
            runner.forget(context().run_context)
        assert "tune: 100%" in capsys.readouterr().err
    assert found[1] == found[2]
    assert sorted(found[1]) == sorted(RUNG.recipes)


def test_states_are_kept_until_they_are_forgotten(make_context):
    context = make_context("work")
    with executor(1, context) as pool, TrialProgress("tune", 5, 5) as bar:
        runner = TrialRunner(pool, bar, 1)
        runner.train(Rung("a", {0: recipe(), 1: recipe(3)}, {0: 1, 1: 1}))
        units = context().run_context.work / "units"
        assert len(list(units.glob("*/state*.pt"))) == 2
        runner.forget(context().run_context)
        assert list(units.glob("*/state*.pt")) == []
        assert len(list(units.glob("*/epoch-1.json"))) == 2
