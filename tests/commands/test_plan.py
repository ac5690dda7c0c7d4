"""`headstart plan`: counted and timed for real, on a folder of a few images."""

import json
from pathlib import Path

import pytest

from pipeline.commands.app import main


@pytest.fixture(autouse=True)
def _timings_are_short(monkeypatch):
    monkeypatch.setattr("pipeline.training.sketched_network.LEAST", 0.0)


@pytest.fixture
def params(tmp_path, small_params, write_params):
    """A function that writes the parameters, changed."""

    def write(**cluster):
        small_params["cluster"] |= cluster
        return write_params(tmp_path, {**small_params, "enabled": ["frozen", "scratch"]})

    return write


def planned(capsys, *words):
    assert main(["plan", "--json", *map(str, words)]) == 0
    return json.loads(capsys.readouterr().out)


def test_machines_are_given_every_number(params, image_folder, capsys):
    found = planned(capsys, "--params", params(price_per_hour=3), "--workers", 2)
    assert found["images"] == {"train": 29, "valid": 7, "test": 12, "classes": 2, "channels": 1, "side": 32,
                               "images": 48}  # fmt: skip
    assert (found["workers"], found["gpu"], found["speed"]) == (2, None, "measured")
    frozen, scratch = (found["strategies"][name] for name in ("frozen", "scratch"))
    assert (frozen["trials"], frozen["trainings"], scratch["units"]) == (2, 4, 8)
    assert scratch["cache_bytes"] == 0 < frozen["cache_bytes"]
    for row in (frozen, scratch):
        assert row["dollars"] == pytest.approx(2 * 3 * row["clock_hours"])
        assert min(row[key] for key in ("flops", "hours", "database_rows", "mlflow_calls")) > 0
    assert found["total"]["flops"] == frozen["flops"] + scratch["flops"]


def test_people_get_a_table_and_what_it_rests_on(params, image_folder, capsys):
    assert main(["plan", str(image_folder), "--params", str(params()), "--workers", "1"]) == 0
    table, _, said = capsys.readouterr().out.partition("\n\n")
    assert [line.split()[0] for line in table.splitlines()] == ["strategy", "frozen", "scratch", "in"]
    assert "CPU-hours" in table
    assert "dollars" not in table
    assert "48 images (29 to train on" in said
    assert "1 worker with a core of this machine" in said
    assert "cluster.price_per_hour" in said


def test_more_images_cost_more_and_a_gpu_is_computed(params, capsys):
    file = params(gpu="h100", price_per_hour=2.0)
    few, many = (planned(capsys, "--params", file, "--images", count) for count in (1_000, 1_000_000))
    assert (few["gpu"], few["speed"]) == ("h100", "computed")
    ratio = many["strategies"]["scratch"]["flops"] / few["strategies"]["scratch"]["flops"]
    assert ratio == pytest.approx(1000, rel=0.05)
    assert main(["plan", "--params", str(file), "--images", "1000000000"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "GPU-hours" in said
    assert "computed from its data sheet" in said
    assert "and the cache may hold 20 GB (features.cache_gb)" in said


@pytest.mark.parametrize(("words", "said"), [(["nowhere"], "data.path: nowhere does not exist"),
                                             (["--params", "none.yaml"], "none.yaml")])  # fmt: skip
def test_mistakes_are_told_in_a_line(words, said, params, capsys):
    given = words if "--params" in words else [*words, "--params", str(params())]
    assert main(["plan", *given]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err


def test_nothing_is_written(params, image_folder, tmp_path, monkeypatch, capsys):
    file = params()
    monkeypatch.chdir(tmp_path)
    before = sorted(Path().rglob("*"))
    planned(capsys, "--params", file)
    assert sorted(Path().rglob("*")) == before
