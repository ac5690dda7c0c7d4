import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline.common.errors import UserError
from pipeline.data.datasets.by_name import lay_out
from pipeline.data.datasets.fer2013 import EMOTIONS, FILES, PAGE, SIDE
from pipeline.data.readers import read
from tests.support.imports import ROOT
from tests.support.sites import Site, little

USAGES = {"Training": "train", "PublicTest": "valid", "PrivateTest": "test"}
HEADS = {
    "fer2013.csv": ("emotion", "pixels", "Usage"),
    "icml_face_data.csv": ("emotion", " Usage", " pixels"),
    "train.csv": ("emotion", "pixels"),
}


def quiet(count):
    return lambda step: None


def faces(per_class, seed=0):
    """Return rows of the file: faces whose brightness tells the expression, so that there is something to learn."""
    rng = np.random.default_rng(seed)
    usages = [usage for usage, count in zip(USAGES, per_class) for _ in range(count)]
    return [{"emotion": str(code), "Usage": usage,
             "pixels": " ".join(map(str, rng.integers(30 * code, 30 * code + 40, SIDE * SIDE)))}
            for usage in usages for code in range(len(EMOTIONS))]  # fmt: skip


def write(folder, name, rows):
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADS[name])
        writer.writerows([row[column.strip()] for column in HEADS[name]] for row in rows)


@pytest.mark.parametrize("name", FILES)
def test_each_of_the_published_files_is_read(tmp_path, name, capsys):
    rows = faces((2, 1, 1))
    write(tmp_path / "downloads/FER2013", name, rows)
    assert lay_out("FER2013", tmp_path / "out", tmp_path / "downloads", quiet) == len(rows)
    table = read(tmp_path / "out")
    assert table["label"].tolist() == [EMOTIONS[int(row["emotion"])] for row in rows]
    if name == "train.csv":
        assert "split" not in table
    else:
        assert table["split"].tolist() == [USAGES[row["Usage"]] for row in rows]
    images = np.load(tmp_path / "out/images.npy")
    assert images.shape == (len(rows), SIDE, SIDE)
    assert " ".join(map(str, images[-1].ravel())) == rows[-1]["pixels"]
    assert "differs from the published file (MD5" in capsys.readouterr().out


def test_the_names_and_checksums_are_those_that_torchvision_knows():
    from torchvision.datasets import FER2013

    known = {name: md5 for name, md5 in FER2013._RESOURCES.values() if name != "test.csv"}
    assert known == FILES
    assert PAGE in FER2013.__doc__


def test_the_whole_file_is_preferred_to_the_one_without_splits(tmp_path):
    for name, count in (("train.csv", 1), ("fer2013.csv", 2)):
        write(tmp_path / "downloads/FER2013", name, faces((count, 1, 1)))
    assert lay_out("FER2013", tmp_path / "out", tmp_path / "downloads", quiet) == 4 * len(EMOTIONS)


def test_without_the_file_it_is_said_which_from_where_and_into_which_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        lay_out("FER2013", tmp_path / "out", Path("downloads"), quiet)
    for part in ("fer2013.csv", PAGE, str(tmp_path / "downloads" / "FER2013")):
        assert part in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"emotion": "7"}, "line 3: expected an emotion from 0 to 6, found '7'"),
        ({"emotion": "happy"}, "line 3: expected an emotion"),
        ({"pixels": "1 2 3"}, "line 3: expected 2304 pixels from 0 to 255, found 3"),
        ({"pixels": " ".join(["256"] * SIDE * SIDE)}, "line 3: expected 2304 pixels"),
        ({"pixels": "a b"}, "line 3: invalid literal"),
        ({"Usage": "Test"}, "line 3: expected Usage to be one of Training, PublicTest, PrivateTest; found 'Test'"),
    ],
)
def test_a_row_that_is_wrong_is_named(tmp_path, change, said):
    rows = faces((1, 1, 1))
    rows[1] |= change
    write(tmp_path / "downloads/FER2013", "fer2013.csv", rows)
    with pytest.raises(UserError, match=rf"fer2013\.csv: {said}"):
        lay_out("FER2013", tmp_path / "out", tmp_path / "downloads", quiet)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "content", [b"", b"emotion;pixels\n", b"pixels,emotion\n", b"\xff\xfe", b"emotion,pixels\n3\n"]
)
def test_a_file_that_is_no_such_table_is_refused(tmp_path, content):
    (tmp_path / "downloads/FER2013").mkdir(parents=True)
    (tmp_path / "downloads/FER2013/fer2013.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"fer2013\.csv: .*fetch it again"):
        lay_out("FER2013", tmp_path / "out", tmp_path / "downloads", quiet)


DIES = """
import os, signal, sys
from pathlib import Path
from pipeline.data.datasets.by_name import lay_out
lay_out("FER2013", Path("out"), Path("downloads"), lambda count: lambda step: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_a_run_that_is_killed_leaves_nothing_that_looks_whole_and_the_next_is_whole(tmp_path):
    rows = faces((1, 1, 1))
    write(tmp_path / "downloads/FER2013", "fer2013.csv", rows)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    dead = subprocess.run([sys.executable, "-c", DIES], cwd=tmp_path, env=environment, check=False)
    assert dead.returncode == -signal.SIGKILL
    assert {path.name for path in tmp_path.iterdir()} == {"downloads", ".out.part"}
    assert lay_out("FER2013", tmp_path / "out", tmp_path / "downloads", quiet) == len(rows)
    assert {path.name for path in tmp_path.iterdir()} == {"downloads", "out"}


def small(params):
    """Return params for this data set and two trainings of each strategy."""
    params = little(params)
    params["data"] |= {"name": "FER2013", "path": "data/raw/FER2013"}
    params["prepare"] |= {"stratify": [], "max_images": None}
    params["register"] |= {"model": "headstart-FER2013"}
    params["train"] |= {"seeds": [1, 2]}
    for name in params["enabled"]:
        params["strategies"][name] |= {"trials": 2}
    return params


@pytest.mark.slow
def test_the_whole_pipeline_learns_expressions_from_the_file_that_a_user_brings(tmp_path):
    """From the file to the registry; these faces are told apart by brightness alone."""
    site = Site(tmp_path / "site")
    site.root.mkdir()
    params = small(yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")))
    (site.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    assert str(site.root / ".headstart/downloads/FER2013") in site.run("download", "FER2013", code=2)
    write(site.root / ".headstart/downloads/FER2013", "fer2013.csv", faces((12, 4, 4)))
    assert "FER2013: 140 images" in site.run("download", "FER2013")
    assert "28 test images are those of your split" in site.run("prepare")
    for stage in ("tune", "train"):
        for name in params["enabled"]:
            site.run(stage, name)
    site.run("compare")
    site.run("register")
    assert json.loads((site.root / "data/prepared/test/about.json").read_text())["classes"] == sorted(EMOTIONS)
    test = pd.read_csv(site.root / "data/prepared/test/manifest.csv")
    assert (len(test), set(test["split"])) == (28, {"test"})
    registry = json.loads((site.root / "results/registry.json").read_text())
    assert registry["champion"]["strategy"] == registry["recommended"]
    assert registry["model"] == "headstart-FER2013"
