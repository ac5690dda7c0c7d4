import json

import pytest

from pipeline.config.params import Params
from pipeline.execution.so_far import FIRST, LAST, PAGE, SEARCH, arms, estimates, tell


@pytest.fixture
def params(small_params):
    small_params |= {"enabled": ["frozen", "scratch"]}
    small_params["train"] |= {"seeds": [1, 2], "fractions": [1], "epoch_scaling": 0.5}
    return Params(**small_params)


def write(file, value):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(value if isinstance(value, str) else json.dumps(value))


def tuned(root, name="scratch"):
    recipe = {"backbone": "compact", "weights": "random", "cut": "input", "epochs": 2, "learning_rate": 0.1}
    write(root / "tune" / f"{name}.json", {"recipe": recipe, "best_trial": 1, "objective": "log_loss",
                                           "search_flops": 400})  # fmt: skip
    write(root / "tune" / f"{name}.csv", "trial,flops,valid_accuracy\n0,100,0.5\n1,200,0.75\n")
    write(root / "timings" / "tune" / f"{name}.json", {"cpu_seconds": 40.0})


def test_nothing_is_known_at_first(tmp_path, params):
    assert (estimates(tmp_path, params), arms(tmp_path, params)) == ({}, [])
    said = tell(tmp_path, params)
    assert said.startswith("so far: nothing\nstill to come: tune@frozen (time not known yet)")


def test_trainings_take_as_many_operations_as_the_best_trial_each_at_the_speed_of_the_search(tmp_path, params):
    tuned(tmp_path)
    found = estimates(tmp_path, params)
    assert (found["train@scratch"].seconds, found["train@scratch"].basis) == (pytest.approx(2 * 200 * 0.1), SEARCH)


def test_what_was_measured_goes_before_what_is_computed(tmp_path, params):
    tuned(tmp_path)
    write(tmp_path / "quick" / "forecast.json", {"strategies": {"scratch": {"tune": 7, "train": 8},
                                                                "frozen": {"tune": 9, "train": 10}}})  # fmt: skip
    found = estimates(tmp_path, params)
    assert {name: (each.seconds, each.basis) for name, each in found.items() if name != "train@scratch"} == {
        "tune@scratch": (40.0, LAST), "tune@frozen": (9.0, FIRST), "train@frozen": (10.0, FIRST)}  # fmt: skip
    write(tmp_path / "timings" / "train" / "scratch.json", {"cpu_seconds": 3.0})
    assert estimates(tmp_path, params)["train@scratch"].basis == LAST


def test_the_race_takes_the_trainings_that_are_left(tmp_path, small_params):
    small_params |= {"enabled": ["scratch"]}
    small_params["train"] |= {"seeds": [1, 2, 3, 4], "fractions": [0.25, 1], "epoch_scaling": 0.5}
    params = Params(**small_params)
    tuned(tmp_path)
    found = estimates(tmp_path, params)
    assert found["train@scratch"].seconds == pytest.approx(3 * (1 + 0.25 * 2) * 200 * 0.1)
    assert (found["race"].seconds, found["race"].basis) == (pytest.approx(1 * 200 * 0.1), SEARCH)
    write(tmp_path / "timings" / "race.json", {"cpu_seconds": 4.0})
    again = estimates(tmp_path, params)["race"]
    assert (again.seconds, again.basis) == (4.0, LAST)


def test_the_score_is_that_of_the_latest_stage(tmp_path, params):
    tuned(tmp_path)
    (first,) = arms(tmp_path, params)
    assert (first.name, first.stage, first.score, first.cpu_seconds) == ("scratch", "tune", 0.75, 40.0)
    write(tmp_path / "train" / "scratch.json", {"valid": [{"accuracy": 0.8}, {"accuracy": 0.9}]})
    (then,) = arms(tmp_path, params)
    assert (then.stage, then.score) == ("train", pytest.approx(0.85))


def test_the_page_and_the_line_say_the_same(tmp_path, params):
    tuned(tmp_path)
    said, page = tell(tmp_path, params), (tmp_path / PAGE).read_text()
    assert "so far, accuracy on validation: scratch 75.0 % (after tune, 0.67 CPU-minutes)" in said
    assert "train@scratch (about 0.67 CPU-minutes)" in said
    assert "75.0 %" in page
    assert f"train@scratch (about 0.67 CPU-minutes), by {SEARCH}" in page


@pytest.mark.parametrize("text", ["{", "[]", ""])
def test_a_damaged_file_is_as_one_that_is_missing(tmp_path, params, text):
    write(tmp_path / "timings" / "tune" / "scratch.json", text)
    write(tmp_path / "quick" / "forecast.json", text)
    assert estimates(tmp_path, params) == {}
