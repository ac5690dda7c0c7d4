import resource
from functools import partial

import pytest

from pipeline.common.errors import UserError
from pipeline.common.process_pool import Executor
from pipeline.common.progress import TrialProgress
from pipeline.config.params import Features, Runtime
from pipeline.config.recipe import Recipe
from pipeline.data.image_set import load
from pipeline.execution.jobs import TrialRunner, open_context, plan, run
from pipeline.search.trials import Rung

FEATURES, RUNTIME = Features(views=("identity", "hflip"), tta=True), Runtime(threads=1, device="cpu")


def recipe(cut="head", **wanted):
    plain = {"backbone": "compact", "weights": "random", "image_size": 32, "epochs": 2, "batch_size": 8}
    return Recipe(**{**plain, "hidden": 8, "learning_rate": 0.003, "cut": cut, **wanted})


RUNG = Rung("a cohort", {4: recipe(3), 5: recipe(dropout=0.1), 6: recipe(head="mlp"), 7: recipe(), 8: recipe("input")},
            dict.fromkeys((4, 5, 6, 7, 8), 2))  # fmt: skip


@pytest.fixture
def make_context(prepared, tmp_path):
    return lambda name: partial(open_context, prepared.dev, None, tmp_path / name, 0.2, FEATURES, RUNTIME)


def test_heads_of_one_shape_share_a_job_and_the_rest_have_one_each():
    jobs = plan(RUNG, 3)
    assert [job.numbers for job in jobs] == [(4,), (5, 7), (6,), (8,)]
    assert [job.cohort for job in jobs] == ["", "a cohort", "a cohort", ""]
    assert {(job.seed, job.until) for job in jobs} == {(3, 2)}
    assert all(job.recipes == tuple(RUNG.recipes[n] for n in job.numbers) for job in jobs)


def test_tuning_has_no_test_split_to_open(make_context):
    assert make_context("work")().test is None


def test_a_job_with_a_test_split_scores_it(prepared, tmp_path):
    context = open_context(prepared.dev, prepared.test, tmp_path, 0.2, FEATURES, RUNTIME)
    (outcome,) = run(plan(Rung("", {0: recipe("input")}, {0: 2}), 1)[0], context, lambda *event: None)
    assert outcome.test["rows"] == list(range(len(load(prepared.test))))


def test_a_crew_of_any_size_trains_the_same_and_hears_of_every_epoch(make_context, capsys):
    found = {}
    for workers in (1, 2):
        context = make_context(f"work {workers}")
        with Executor(workers, context, run) as executor, TrialProgress("tune", 5, 5) as bar:
            crew = TrialRunner(executor, bar, 1)
            found[workers] = crew.train(RUNG)
            assert list((context().setting.work / "units").glob("*/*.pt")) == []
            crew.forget(context().setting)
        assert "tune: 100%" in capsys.readouterr().err
    assert found[1] == found[2]
    assert sorted(found[1]) == sorted(RUNG.recipes)


def test_states_are_kept_until_they_are_forgotten(make_context):
    context = make_context("work")
    with Executor(1, context, run) as executor, TrialProgress("tune", 5, 5) as bar:
        crew = TrialRunner(executor, bar, 1)
        crew.train(Rung("a", {0: recipe(), 1: recipe(3)}, {0: 1, 1: 1}))
        units = context().setting.work / "units"
        assert len(list(units.glob("*/state*.pt"))) == 2
        crew.forget(context().setting)
        assert list(units.glob("*/state*.pt")) == []
        assert len(list(units.glob("*/epoch-1.json"))) == 2


def limited(make):
    """Make a context in a process that may have 4 GiB of addresses and no more."""
    resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))
    return make()


@pytest.mark.parametrize("cut", ["head", "input"])
def test_where_memory_does_not_suffice_the_error_says_for_what(make_context, cut):
    too_wide = Rung("cohort", {0: recipe(cut, head="mlp", hidden=10_000_000)}, {0: 2})
    said = pytest.raises(UserError, match=r"memory of cpu .* train compact with batch_size 8 and image_size 32")
    with Executor(2, partial(limited, make_context("work")), run) as executor, said:
        executor.map(plan(too_wide, 1))
