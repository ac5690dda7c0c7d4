import resource
from dataclasses import replace
from functools import partial

import pytest
import torch

from pipeline.common.errors import UserError
from pipeline.common.process_pool import cores
from pipeline.data.image_set import load
from pipeline.execution.jobs import Job, executor, open_context, run
from tests.common.test_process_pool import die_in_worker
from tests.support.units import FEATURES, RUNTIME, recipe


def test_tuning_has_no_test_split_to_open(prepared, tmp_path):
    assert open_context(prepared.dev, None, tmp_path, 0.2, FEATURES, RUNTIME).test is None


def test_a_job_with_a_test_split_scores_it(prepared, tmp_path):
    context = open_context(prepared.dev, prepared.test, tmp_path, 0.2, FEATURES, RUNTIME)
    (outcome,) = run(Job((0,), (recipe("input"),), 1, 2), context, lambda *event: None)
    assert outcome.test["rows"] == list(range(len(load(prepared.test))))


def limited(make):
    """Make a context in a process that may have 4 GiB of addresses and no more."""
    resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))
    return make()


@pytest.mark.parametrize(
    ("cut", "cohort"), [("head", "heads side by side"), pytest.param("input", "", marks=pytest.mark.slow)]
)
def test_where_memory_does_not_suffice_the_error_says_for_what(prepared, tmp_path, cut, cohort):
    too_wide = Job((0,), (recipe(cut, head="mlp", hidden=10_000_000),), 1, 2, cohort)
    make = partial(open_context, prepared.dev, None, tmp_path, 0.2, FEATURES, RUNTIME)
    said = pytest.raises(UserError, match=r"memory of cpu .* train compact with batch_size 8 and image_size 32")
    with executor(2, partial(limited, make)) as pool, said:
        pool.map([too_wide])


def test_where_a_worker_dies_the_error_says_what_to_do():
    with executor(2, die_in_worker) as pool, pytest.raises(UserError, match=r"exit code -9; .* lower search\.workers"):
        pool.map([Job((0,), (recipe(),), 1, 2)])


def test_as_many_workers_as_cores_unless_each_has_several_threads(prepared, tmp_path):
    for threads in (1, 2, 1000):
        runtime = RUNTIME.model_copy(update={"threads": threads})
        make = partial(open_context, prepared.dev, None, tmp_path, 0.2, FEATURES, runtime)
        assert executor("auto", make)._workers == max(1, cores() // threads)
    shared = RUNTIME.model_copy(update={"devices": 2})
    make = partial(open_context, prepared.dev, None, tmp_path, 0.2, FEATURES, shared)
    assert executor("auto", make)._workers == max(1, cores() // 2)
    open_context(prepared.dev, None, tmp_path, 0.2, FEATURES, RUNTIME)  # which sets the threads of this process back


@pytest.mark.parametrize(("gpus", "devices", "workers"), [(4, 1, 4), (4, 2, 2), (3, 2, 1), (1, 1, 1), (1, 2, 1)])
def test_as_many_workers_as_gpus_unless_several_share_a_training(
    gpus, devices, workers, prepared, tmp_path, monkeypatch
):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    context = open_context(prepared.dev, None, tmp_path, 0.2, FEATURES, RUNTIME)
    context = replace(context, run_context=replace(context.run_context, device=torch.device("cuda"), devices=devices))
    made = executor("auto", dict, context)
    assert made._workers == workers
    seen = [made._environment(number).get("CUDA_VISIBLE_DEVICES", "") for number in range(workers)]
    assert len({name for each in seen for name in each.split(",")}) == workers * min(devices, gpus)
