import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.common.errors import UserError
from pipeline.data.datasets import elpv
from pipeline.data.image_set import load
from pipeline.data.readers import read
from pipeline.stages.prepare import main as prepare


@pytest.fixture
def packaged(tmp_path, monkeypatch):
    """A package as elpv-dataset is laid out, of three images."""
    data = tmp_path / "site" / "elpv_dataset" / "data"
    (data / "images").mkdir(parents=True)
    (data.parent / "__init__.py").write_text("")
    rows = [("0.0", "mono"), ("0.3333333333333333", "poly"), ("0.6666666666666666", "mono")]
    for number, _ in enumerate(rows):
        Image.fromarray(np.full((4, 4), number, np.uint8)).save(data / "images" / f"cell{number:04}.png")
    lines = [f"images/cell{n:04}.png   {probability}     {kind}" for n, (probability, kind) in enumerate(rows)]
    (data / "labels.csv").write_text("\n".join(lines) + "\n")
    monkeypatch.delitem(sys.modules, "elpv_dataset", raising=False)
    monkeypatch.syspath_prepend(data.parents[1])
    return data


def test_the_demo_is_laid_out_as_a_user_would_bring_it(packaged, tmp_path):
    out, told = tmp_path / "out", []
    out.mkdir()
    assert elpv.lay_out(out, tmp_path, lambda count: told.append(count) or told.append) == 3
    assert told == [3, 1, 1, 1]
    assert read(out).to_dict("list") == {
        "path": [f"images/cell{n:04}.png" for n in range(3)],
        "label": ["intact", "intact", "defective"],
        "probability": ["0.0", "0.3333333333333333", "0.6666666666666666"],
        "cell_type": ["mono", "poly", "mono"],
        "grade": ["intact", "possibly", "likely"],
    }
    assert (out / "images/cell0001.png").read_bytes() == (packaged / "images/cell0001.png").read_bytes()
    assert "non-commercial" in (out / "LICENCE.txt").read_text()


def test_the_demo_without_its_package_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "elpv_dataset", None)
    with pytest.raises(UserError, match="uv sync --group demo"):
        elpv.lay_out(tmp_path, tmp_path, lambda count: lambda step: None)


def test_the_installed_demo_has_the_images_and_classes_its_authors_name():
    package = pytest.importorskip("elpv_dataset").__path__[0]
    table = pd.read_csv(f"{package}/data/labels.csv", sep=r"\s+", names=["path", "probability", "cell_type"])
    assert len(table) == 2624
    assert table["probability"].ge(0.5).sum() == 821


@pytest.mark.parametrize(
    ("label", "classes"),
    [
        ("label", ("defective", "intact")),
        ("grade", ("defective", "intact", "likely", "possibly")),
        ("cell_type", ("mono", "poly")),
    ],
)
def test_each_task_of_the_demo_is_a_choice_of_column(label, classes, tmp_path, small_params, write_params):
    pytest.importorskip("elpv_dataset")
    raw = tmp_path / "elpv"
    raw.mkdir()
    elpv.lay_out(raw, tmp_path, lambda count: lambda step: None)
    table = pd.read_csv(raw / "labels.csv", dtype=str)
    table[::8].to_csv(raw / "labels.csv", index=False)  # fewer to read
    small_params["data"] |= {"path": str(raw), "label": label}
    small_params["prepare"] |= {"stratify": ["cell_type"], "max_images": 200}
    paths = {name: str(tmp_path / name) for name in ("dev", "test", "summary", "timings")}
    paths["params"] = str(write_params(tmp_path, small_params))
    assert prepare([word for name, path in paths.items() for word in (f"--{name}", path)]) == 0
    dev, test = load(tmp_path / "dev"), load(tmp_path / "test")
    assert dev.classes == test.classes == classes
    assert len(dev) + len(test) == 200
    wanted = dict(zip(table["path"], table[label]))
    for part, images in (("dev", dev), ("test", test)):
        rows = pd.read_csv(tmp_path / part / "manifest.csv", dtype=str)
        assert [classes[number] for number in images.labels] == [wanted[path] for path in rows["path"]]


def test_the_demos_grades_are_its_probabilities_and_agree_with_its_labels(tmp_path):
    pytest.importorskip("elpv_dataset")
    elpv.lay_out(tmp_path, tmp_path, lambda count: lambda step: None)
    table = pd.read_csv(tmp_path / "labels.csv")
    assert table.groupby("grade")["probability"].agg(["min", "max"]).round(3).to_dict("index") == {
        "intact": {"min": 0, "max": 0}, "possibly": {"min": 0.333, "max": 0.333},
        "likely": {"min": 0.667, "max": 0.667}, "defective": {"min": 1, "max": 1}}  # fmt: skip
    assert (table["grade"].isin(["likely", "defective"]) == (table["label"] == "defective")).all()
