"""docs/scale.md is what its command writes, and simulated workers do what they are given."""

import pytest

from benchmarks import scale, scale_constants
from benchmarks.simulated_ray import simulated_executor
from pipeline.common.files import read_json


def test_the_page_is_what_the_command_writes_from_what_was_measured():
    assert scale.PAGE.read_text(encoding="utf-8") == scale.page(read_json(scale.RESULTS / "scale.json"))


def test_the_page_alone_can_be_written_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(scale, "PAGE", tmp_path / "scale.md")
    scale.main(["--render"])
    assert (tmp_path / "scale.md").read_text(encoding="utf-8").startswith("# What more images")


def test_more_images_and_workers_are_priced_without_a_contradiction():
    found = read_json(scale.RESULTS / "scale.json")
    for key in ("flops", "bytes_moved", "cpu_seconds", "gpu_seconds", "dollars", "cache_bytes", "prediction_bytes"):
        values = [each[key] for each in found["sizes"]]
        assert values == sorted(values), key
    assert len({each["database_rows"] for each in found["sizes"]}) == 1
    for each in found["clusters"]:
        clocks = [one["clock_seconds"] for one in each["by_workers"].values()]
        assert clocks == sorted(clocks, reverse=True)
    for net in found["networks"].values():
        assert net["trained"]["gpu_seconds"] >= net["trained"]["host_seconds"] > 0


@pytest.mark.parametrize(("value", "said"), [(999, "999 B"), (45_080, "45.1 kB"), (2e10, "20 GB"), (3.2e15, "3.2 PB")])
def test_sizes_are_written_with_prefixes(value, said):
    assert scale.size(value) == said


@pytest.mark.parametrize(("seconds", "said"), [(90, "90 s"), (7200, "2 h"), (864_000, "10 days"), (1e9, "31.7 years")])
def test_times_are_written_up_to_years(seconds, said):
    assert scale.long(seconds) == said


def test_what_a_unit_costs_is_a_line_over_the_workers():
    crowd = {str(n): {"coordinator_cpu_us_per_unit": 500 + 2 * n, "actor_mb": 60} for n in (2, 10, 100)}
    optuna = {"9": {"record_cpu_ms_per_trial": 20, "rows_per_trial": 15, "bytes_per_trial": 1000, "round_cpu_ms": 50}}
    mlflow = {"cpu_ms_per_run": 30, "rows_per_run": 100, "calls_per_run": 4, "bytes_per_run": 20_000}
    simulated = {"workers": 9, "units": 9, "coordinator_cpu_us_per_unit": 9, "peak_memory_mb": 9}
    found = scale_constants.of_cluster({"crowd": {"workers": crowd}, "simulated": simulated,
                                        "database": {"optuna": {"trials": optuna}, "mlflow": mlflow}})  # fmt: skip
    assert found["unit_seconds"] == pytest.approx(500e-6)
    assert found["unit_seconds_by_worker"] == pytest.approx(2e-6)
    assert (found["trial_seconds"], found["run_seconds"]) == (0.02, 0.03)


def test_what_files_and_heads_take_is_measured():
    found = scale_constants.of_files()
    assert 60 < found["prediction_bytes"] < 110
    assert 2 <= found["logistic_copies"] < 6
    assert found["read_bytes_per_second"] > 1e7


def test_simulated_workers_do_every_job_once_and_no_more_at_a_time_than_there_are():
    with simulated_executor(7, seconds=30.0) as (executor, cluster):
        assert list(executor.stream(range(200))) == list(range(200))
        assert cluster.most_at_once == 7
        assert 200 * 30 / 7 <= cluster.clock < 1.2 * 200 * 30 / 7
