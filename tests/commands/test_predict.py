import json
import os
import signal
import subprocess
import sys
import time

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before mlflow loads: tests are offline

import fsspec
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from pipeline.commands import predict
from pipeline.commands.app import main
from pipeline.data.image_place import ImagePlace
from pipeline.inference.classifier import Classifier
from pipeline.tracking import logged_models
from tests.support.imports import ROOT
from tests.support.pictures import saved, smooth
from tests.support.served import tiny_model

COLUMNS = ["path", "label", "probability", "p_low", "p_top", "error"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("models") / "frozen")


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "photos" / "b").mkdir(parents=True)
    for number in range(5):
        picture = rng.integers(0, 256, (30, 20 + number, 3), dtype=np.uint8)
        (tmp_path / "photos" / ("b" if number % 2 else "") / f"{number}.png").write_bytes(saved(picture))
    return tmp_path / "photos"


def images_of(photos):
    return {path.relative_to(photos).as_posix(): path.read_bytes() for path in sorted(photos.rglob("*.png"))}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_every_image_of_a_folder_is_labelled_as_the_model_does(photos, model, tmp_path, capsys, suffix):
    out = tmp_path / f"p.{suffix}"
    assert main(["predict", str(photos), "--model", str(model), "--out", str(out)]) == 0
    table = pd.read_csv(out) if suffix == "csv" else pd.read_parquet(out)
    images = images_of(photos)
    expected = Classifier(model).predict([*images.values()])
    assert list(table) == COLUMNS
    assert table["path"].tolist() == sorted(images)
    by_path = pd.DataFrame({"path": [*images]}).join(expected).sort_values("path", ignore_index=True)
    pd.testing.assert_frame_equal(table[COLUMNS[:-1]], by_path, check_dtype=False, rtol=1e-5)
    assert table["error"].isna().all()
    assert capsys.readouterr().out == f"{out}: 5 of 5 images are labelled.\n"


def test_images_that_cannot_be_read_are_listed_with_the_reason_and_end_nothing(photos, model, tmp_path, capsys):
    (photos / "empty.png").touch()
    (photos / "bad.jpg").write_bytes(b"no image")
    (photos / "cut.png").write_bytes((photos / "0.png").read_bytes()[:300])
    (photos / "gone.png").symlink_to("nowhere")
    out = tmp_path / "p.csv"
    assert main(["predict", str(photos), "--model", str(model), "--out", str(out)]) == 0
    table = pd.read_csv(out, index_col="path")
    errors = table["error"].dropna()
    assert sorted(errors.index) == ["bad.jpg", "cut.png", "empty.png", "gone.png"]
    assert errors["empty.png"] == "the file is empty"
    assert errors["bad.jpg"] == "not a readable image (of no known format)"
    assert table.loc[errors.index, COLUMNS[1:-1]].isna().all(axis=None)
    assert "5 of 9 images are labelled; the column error says why 4 could not be read." in capsys.readouterr().out


def test_a_rerun_reads_again_what_could_not_be_read_and_nothing_else(photos, model, tmp_path, monkeypatch):
    (photos / "late.png").touch()
    out, read, seen = tmp_path / "p.csv", ImagePlace.read, []

    def killed(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(predict, "write_table", killed)
        assert main(["predict", str(photos), "--model", str(model), "--out", str(out)]) == 130
    (photos / "late.png").write_bytes(saved(smooth()))
    monkeypatch.setattr(ImagePlace, "read", lambda self, path, most: seen.append(path) or read(self, path, most))
    assert main(["predict", str(photos), "--model", str(model), "--out", str(out)]) == 0
    assert seen == ["late.png"]
    assert pd.read_csv(out)["error"].isna().all()


def test_images_of_a_store_are_labelled_too(photos, model, tmp_path):
    fsspec.filesystem("memory").pipe({f"/bucket/{path}": data for path, data in images_of(photos).items()})
    tables = []
    for number, place in enumerate((str(photos), f"file://{photos}", "memory://bucket")):
        out = tmp_path / f"{number}.csv"
        assert main(["predict", place, "--model", str(model), "--out", str(out)]) == 0
        tables.append(out.read_text())
    assert tables[0] == tables[1] == tables[2]


@pytest.fixture
def registered(model, tracking_uri, tmp_path):
    """A function that registers the model, with an alias."""
    client = MlflowClient(tracking_uri, tracking_uri)
    run = client.create_run(client.create_experiment("tiny", (tmp_path / "mlartifacts").as_uri())).info.run_id
    logged = logged_models.find_or_log(client, run, model, "frozen", {})
    client.create_registered_model("tiny")
    version = client.create_model_version("tiny", f"models:/{logged}", model_id=logged)
    client.set_registered_model_alias("tiny", "champion", version.version)


def test_a_registered_model_is_named_by_alias_or_version(photos, model, registered, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = {}
    for number, name in enumerate(("models:/tiny@champion", "models:/tiny/1", str(model))):
        assert main(["predict", "photos", "--model", name, "--out", f"{number}.csv"]) == 0
        said[name] = (tmp_path / f"{number}.csv").read_text()
    assert len(set(said.values())) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "nowhere: no such folder of images"),
        (["photos", "--model", "nowhere"], "nowhere: no folder with model.json and model.safetensors; name one of"),
        (["photos", "--model", "models:/tiny"], "models:/tiny: write models:/<name>@<alias> or models:/<name>/<vers"),
        (["photos", "--model", "models:/other@champion"], "has no models:/other@champion (its models: tiny)"),
        (["photos", "--model", "models:/tiny@best"], "has no models:/tiny@best"),
        (["photos", "--model", "damaged"], "damaged: its files are damaged, or of another version: "),
        (["photos", "--out", "p.txt"], "p.txt: --out must end in .csv or .parquet"),
        (["photos", "--out", "there.csv"], "there.csv: is there already; name another file, or give --overwrite"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(photos, model, registered, tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.csv").touch()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "model.json").write_bytes((model / "model.json").read_bytes())
    (tmp_path / "damaged" / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes()[:-9])
    given = {"--model": str(model), "--out": "p.csv"} | dict(zip(words[1::2], words[2::2]))
    assert main(["predict", words[0], *(word for pair in given.items() for word in pair)]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "p.csv").exists()


def test_where_there_is_no_registry_none_is_made(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    assert main(["predict", "photos", "--model", "models:/tiny@champion", "--out", "p.csv"]) == 2
    assert "models:/tiny@champion: there is no registry here" in capsys.readouterr().err
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_writes_the_same_table_and_reads_no_image_twice(model, tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for number in range(1500):
        picture = rng.integers(0, 256, (160, 160, 3), dtype=np.uint8)
        (tmp_path / "photos" / f"{number}.png").write_bytes(saved(picture))
    command = [sys.executable, "-m", "pipeline.commands", "predict", str(tmp_path / "photos"), "--model", str(model)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def start(name):
        return subprocess.Popen([*command, "--out", str(tmp_path / name)], env=environment, stderr=subprocess.DEVNULL)

    assert start("whole.csv").wait() == 0
    partial, kills, lines = tmp_path / ".p.csv.partial", 0, 0
    while not (tmp_path / "p.csv").exists():
        process = start("p.csv")
        while process.poll() is None and (not partial.exists() or partial.read_bytes().count(b"\n") < lines + 64):
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        done = partial.read_bytes().count(b"\n") if partial.exists() else lines
        assert done >= lines
        lines = done
    assert kills > 3
    assert start("p.csv").wait() in (0, 2)  # it may have been killed before it tidied up
    assert (tmp_path / "p.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_picture_of_one_colour_is_a_picture(model, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.png").write_bytes(saved(smooth(1)))
    out = tmp_path / "p.csv"
    assert main(["predict", str(tmp_path / "photos"), "--model", str(model), "--out", str(out)]) == 0
    assert len(pd.read_csv(out)) == 1


def test_unknown_is_said_where_the_model_has_a_threshold_and_is_asked(photos, tmp_path, capsys):
    folder = tiny_model(tmp_path / "model")
    ask = ["predict", str(photos), "--model", str(folder), "--out", str(tmp_path / "p.csv")]
    assert main([*ask, "--unknown"]) == 2
    assert "--unknown: this model has no threshold for unknown images" in capsys.readouterr().err
    spec = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(spec | {"unknown": {"threshold": 0.9999}}))
    assert main([*ask, "--unknown"]) == 0
    assert set(pd.read_csv(tmp_path / "p.csv")["label"]) == {"unknown"}
    assert main([*ask, "--overwrite"]) == 0
    assert "unknown" not in set(pd.read_csv(tmp_path / "p.csv")["label"])
