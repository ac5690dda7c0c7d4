import os

from pipeline.execution.local_executor import LocalExecutor


def seen(job, context, report):
    return os.environ.get("CUDA_VISIBLE_DEVICES"), os.getpid()


def environments(workers, gpus, devices):
    made = LocalExecutor(workers, dict, seen, gpus=gpus, devices=devices)
    return [made._environment(number).get("CUDA_VISIBLE_DEVICES") for number in range(workers)]


def test_each_worker_has_gpus_of_its_own_as_far_as_they_suffice():
    assert environments(4, ["0", "1", "2", "3"], 1) == ["0", "1", "2", "3"]
    assert environments(2, ["4", "5", "6", "7"], 2) == ["4,5", "6,7"]
    assert environments(3, ["0", "1"], 1) == ["0", "1", "0"]
    assert environments(2, ["0", "1", "2"], 2) == ["0,1", "0,1"]
    assert environments(2, [], 1) == [None, None]


def test_a_worker_process_sees_its_gpus_alone(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with LocalExecutor(2, dict, seen, gpus=["GPU-a", "GPU-b"]) as executor:
        found = dict(executor.map(range(2)))
    assert set(found) == {"GPU-a", "GPU-b"}
    assert os.environ.get("CUDA_VISIBLE_DEVICES") is None
