"""A user's own images, of each kind, as the README says: `headstart init`, `dvc add`, `dvc repro`."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from tests.conftest import CLASSES, draw_image
from tests.data.datasets.test_fer2013 import faces, write
from tests.test_docs import commands, merge, own_images, read
from tests.test_pipeline import Clone

pytestmark = pytest.mark.slow
COUNT = 60


def pictures():
    rng = np.random.default_rng(0)
    return [(CLASSES[number % 2], draw_image(CLASSES[number % 2], rng)) for number in range(COUNT)]


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def by_class(root):
    for number, (label, pixels) in enumerate(pictures()):
        save(root / label / f"{number}.png", pixels)
    return root


def already_split(root):
    for number, (label, pixels) in enumerate(pictures()):
        save(root / ("train", "train", "val", "test")[number // 2 % 4] / label / f"{number}.jpg", pixels)
    return root


def table(root):
    rows = []
    for number, (label, pixels) in enumerate(pictures()):
        save(root / f"Bilder/{number} ä.png", pixels)
        rows.append({"path": f"Bilder/{number} ä.png", "label": label, "group": f"patient {number // 4}"})
    return pd.DataFrame(rows), root


def csv(root):
    rows, root = table(root)
    rows.to_csv(root / "labels.csv", index=False)
    return root


def parquet(root):
    rows, root = table(root)
    rows.rename(columns={"label": "animal"}).to_parquet(root / "labels.parquet")  # `label` is a line more to paste
    return root


def packed():
    labels, images = zip(*pictures())
    return np.stack(images), np.array(labels)


def arrays(root):
    root.mkdir()
    np.save(root / "images.npy", packed()[0])
    np.save(root / "labels.npy", packed()[1])
    return root


def one_file(root):
    file = root.with_suffix(".npz")
    np.savez_compressed(file, images=packed()[0], labels=packed()[1])
    return file


KINDS = (by_class, already_split, csv, parquet, arrays, one_file)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    made = Clone(tmp_path_factory.mktemp("clone"))
    return made, made.params.read_text(encoding="utf-8")


@pytest.fixture
def clone(shared):
    """A clone with the params that it came with, and what other tests have left beside them."""
    made, params = shared
    made.params.write_text(params, encoding="utf-8")
    return made


def dvc(clone, *words):
    return clone._run(sys.executable, "-m", "dvc", *words)


def taken(clone, path):
    """Set params.yaml to use the images; return what was said."""
    said = clone._run(sys.executable, "-m", "pipeline.commands", "init", path)
    shown = yaml.safe_load(said.partition("Written to params.yaml:\n")[2].partition("\nNext:")[0])
    params = yaml.safe_load(clone.params.read_text(encoding="utf-8"))
    assert merge(params, shown) == params
    assert params["data"]["path"] == path
    return said


def prepared(clone):
    about = [json.loads((clone.root / f"data/prepared/{part}/about.json").read_text()) for part in ("dev", "test")]
    assert [each["classes"] for each in about] == [sorted(CLASSES)] * 2
    return sum(each["images"] for each in about)


@pytest.mark.parametrize("kind", KINDS)
def test_images_of_each_kind_are_checked_added_and_prepared(clone, kind):
    path = kind(clone.root / f"photos_{kind.__name__}")
    assert "no problems" in taken(clone, path.name)
    dvc(clone, "add", path.name)
    assert (clone.root / f"{path.name}.dvc").exists()
    assert re.findall(r"Running stage '(.+)'", dvc(clone, "repro", "prepare")) == ["prepare"]
    assert prepared(clone) == COUNT
    assert re.findall(r"Running stage '(.+)'", dvc(clone, "repro", "prepare")) == []
    locked = yaml.safe_load((clone.root / "dvc.lock").read_text())["stages"]["prepare"]["deps"]
    added = yaml.safe_load((clone.root / f"{path.name}.dvc").read_text())["outs"][0]
    assert {dep["path"]: dep["md5"] for dep in locked}[path.name] == added["md5"]
    changed = clone._run("git", "status", "--porcelain", "--untracked-files=all").split("\n")
    assert not [line for line in changed if "photos" in line and not line.endswith(".dvc")]


def test_changed_images_are_prepared_again_and_old_ones_come_back(clone):
    root = by_class(clone.root / "mine")
    taken(clone, "mine")
    dvc(clone, "add", "mine")
    dvc(clone, "repro", "prepare")
    first = (clone.root / "data/prepared/dev/about.json").read_text()
    kept = {name: (clone.root / name).read_text() for name in ("mine.dvc", "dvc.lock")}
    for number in range(3):
        save(root / "low" / f"new {number}.png", np.arange(number, 81 + number, dtype=np.uint8).reshape(9, 9))
    dvc(clone, "add", "mine")
    assert re.findall(r"Running stage '(.+)'", dvc(clone, "repro", "prepare")) == ["prepare"]
    assert prepared(clone) == COUNT + 3
    for name, text in kept.items():
        (clone.root / name).write_text(text)
    dvc(clone, "checkout", "mine.dvc", "prepare")
    assert len([*root.glob("*/*.png")]) == COUNT
    assert (clone.root / "data/prepared/dev/about.json").read_text() == first


def test_a_data_set_is_laid_out_by_name_once_its_file_is_there(clone):
    clone.edit(lambda params: merge(params, {"download": ["FER2013"], "data.path": "data/raw/FER2013"}))
    folder = clone.root / ".headstart/downloads/FER2013"
    command = [sys.executable, "-m", "dvc", "repro", "download@FER2013"]
    done = subprocess.run(command, cwd=clone.root, env=clone.environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert f"\n  {folder}\n" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    write(folder, "fer2013.csv", faces((1, 1, 1)))
    for words in (command[3:], [*command[3:], "--force"]):
        assert "FER2013: 21 images in data/raw/FER2013" in dvc(clone, *words)
    assert "data/raw" not in clone._run("git", "status", "--porcelain", "--untracked-files=all")


def test_the_readme_says_so():
    path = own_images()["data"]["path"]
    said = commands(read("README.md"))
    order = [said.index(f"uv run {words}") for words in (
        f"headstart check {path}", f"headstart init {path}", f"dvc add {path}")]  # fmt: skip
    assert order == sorted(order)
    assert said[order[2] + 1] == "uv run dvc repro"
    assert Path(path).parts[0] != "data"
