import os
import sys
import tempfile
from pathlib import Path, PurePath

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.common.errors import UserError
from pipeline.data.datasets import elpv
from pipeline.data.image_set import load
from pipeline.data.readers import class_folders, empty_classes, read
from pipeline.stages.prepare import main as prepare


def write_table(folder, text):
    (folder / "labels.csv").write_text(text, encoding="utf-8")
    return folder


def test_a_table_is_read_as_text_sorted_by_path(tmp_path):
    table = read(write_table(tmp_path, "path,label,score\nb.png,NA,007\na.png,1,0.50\n"))
    assert table.to_dict("list") == {"path": ["a.png", "b.png"], "label": ["1", "NA"], "score": ["0.50", "007"]}


def test_a_table_saved_by_a_spreadsheet_is_read(tmp_path):
    assert list(read(write_table(tmp_path, "\ufeffpath,label\r\na.png,x\r\n"))) == ["path", "label"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a readable table"),
        ('path,label\n"a.png,x\n', "not a readable table"),
        ("path,label\na.png,x\nb.png,x,1\n", "not a readable table"),
        ("file,label\na.png,x\n", "expected a column `path`.*found columns file, label"),
        ("path;label\na.png;x\n", "expected a column `path`"),
        ("path,label\n", "a row per image"),
        ("path,label\na.png,x\na.png,y\n", r"a\.png is listed more than once"),
        ("path,label\na.png,x,1\nb.png,y,2\n", "label"),
    ],
)
def test_a_table_that_cannot_be_used_is_named_with_what_is_wrong(tmp_path, text, said):
    with pytest.raises(UserError, match=said) as caught:
        read(write_table(tmp_path, text))
    assert str(tmp_path / "labels.csv") in str(caught.value)


def test_a_table_in_another_encoding_is_named(tmp_path):
    (tmp_path / "labels.csv").write_bytes("path,label\nü.png,x\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"labels\.csv: not a readable table"):
        read(tmp_path)


def test_folders_of_images_are_classes(tmp_path):
    for name in ("cat/b.png", "cat/a.JPG", "dog/c.webp", "dog/.hidden.png", "dog/notes.txt", ".old/a.png", "top.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert read(tmp_path).to_dict("list") == {
        "path": ["cat/a.JPG", "cat/b.png", "dog/c.webp"],
        "label": ["cat", "cat", "dog"],
    }


@pytest.fixture
def as_nobody():
    """A folder that all may enter; the test goes on as a user who is not root, whom no lock would hold."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)
        if os.getuid() == 0:
            os.seteuid(0)


@pytest.mark.parametrize("locked", [".", "dog", "train", "train/dog"])
def test_a_folder_that_cannot_be_listed_is_named(as_nobody, locked):
    for name in ("cat/a.png", "dog/b.png") if "train" not in locked else ("train/cat/a.png", "train/dog/b.png"):
        (as_nobody / name).parent.mkdir(parents=True, exist_ok=True)
        (as_nobody / name).write_bytes(b"")
    mode = (as_nobody / locked).stat().st_mode
    (as_nobody / locked).chmod(0o000)
    if os.getuid() == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(UserError, match=f"{as_nobody / locked}: cannot be listed: Permission denied"):
            read(as_nobody)
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        (as_nobody / locked).chmod(mode)


def test_of_many_folders_only_as_much_is_listed_as_tells_the_kind(tmp_path, monkeypatch):
    for number in range(50):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}" / "a.png").write_bytes(b"")
    looked, name = [], PurePath.name
    monkeypatch.setattr(PurePath, "name", property(lambda path: looked.append(path) or name.fget(path)))
    assert class_folders.matches(tmp_path)
    assert len(looked) < 10


def test_a_table_counts_for_more_than_folders(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.png").write_bytes(b"")
    assert read(write_table(tmp_path, "path,label\ncat/a.png,tiger\n"))["label"].tolist() == ["tiger"]


def test_a_folder_of_no_known_kind_is_refused_naming_the_kinds(tmp_path):
    with pytest.raises(UserError, match=r"neither a labels\.csv .* nor a folder of images per class"):
        read(tmp_path)


def test_a_missing_folder_is_refused_naming_the_setting(tmp_path):
    with pytest.raises(UserError, match=r"data\.path: .*nowhere is not a folder"):
        read(tmp_path / "nowhere")


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


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


@pytest.mark.parametrize("valid", ["valid", "val", "validation", "Val"])
def test_folders_that_are_split_keep_their_splits(tmp_path, valid):
    touch(tmp_path, "Train/cat/a.png", "train.txt", f"{valid}/cat/b.png", "test/dog/c.png", "test/dog/deep/d.png")
    assert read(tmp_path).to_dict("list") == {
        "path": sorted(["Train/cat/a.png", f"{valid}/cat/b.png", "test/dog/c.png"]),
        "label": [{"T": "cat", "v": "cat", "V": "cat", "t": "dog"}[n] for n in sorted(["T", valid[0], "t"])],
        "split": [{"T": "train", "t": "test"}.get(n, "valid") for n in sorted(["T", valid[0], "t"])],
    }


def test_folders_may_be_split_without_valid(tmp_path):
    assert read(touch(tmp_path, "train/a/x.png", "test/a/y.png"))["split"].tolist() == ["test", "train"]


def test_classes_may_be_called_train_and_test(tmp_path):
    table = read(touch(tmp_path, "train/a.png", "test/b.png"))
    assert table["label"].tolist() == ["test", "train"]
    assert "split" not in table


@pytest.mark.parametrize("side", ["train", "test"])
def test_a_split_without_train_or_test_is_refused_saying_what_to_do(tmp_path, side):
    other = {"train": "test", "test": "train"}[side]
    with pytest.raises(UserError, match=rf"no {side} images, only {other} and valid.*one folder per class"):
        read(touch(tmp_path, f"{other}/a/x.png", "val/a/y.png"))


@pytest.mark.parametrize("stray", ["top.png", "train/x.png", "more/x.png", "more/a/x.png"])
def test_images_beside_the_splits_are_named(tmp_path, stray):
    touch(tmp_path, "train/a/x.png", "test/a/y.png", stray, "notes/read.txt")
    with pytest.raises(UserError, match=rf"test, train hold folders of classes, and 1 image.*such as {stray}"):
        read(tmp_path)


def test_a_column_split_is_read_in_any_case(tmp_path):
    table = read(
        write_table(tmp_path, "path,label,split\na.png,x,Train\nb.png,x, VAL\nc.png,y,Validation\nd.png,y,TEST\n")
    )
    assert table["split"].tolist() == ["train", "valid", "valid", "test"]


@pytest.mark.parametrize("value", ["dev", "", "tests"])
def test_any_other_split_is_refused_naming_the_row(tmp_path, value):
    with pytest.raises(
        UserError, match=rf"one of train, valid, val, validation, test; found b\.png \('{value}'\) \(1 such"
    ):
        read(write_table(tmp_path, f"path,label,split\na.png,x,train\nb.png,x,{value}\nc.png,y,test\n"))


def test_an_image_without_a_group_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no group for b\.png \(2 such rows\); give an image"):
        read(write_table(tmp_path, "path,label,group\na.png,x,1\nb.png,x,\nc.png,y, \n"))


@pytest.fixture
def same():
    return pd.DataFrame({"path": ["b.png", "a.png"], "label": ["1", "NA"], "group": ["7", "8"], "score": ["0.5", ""],
                         "weight": ["0.1", "2.0"]})  # fmt: skip


def test_parquet_says_what_csv_says(tmp_path, same):
    for name in ("csv", "parquet"):
        (tmp_path / name).mkdir()
    same.to_csv(tmp_path / "csv/labels.csv", index=False)
    typed = same.assign(
        score=[0.5, None],
        weight=np.array([0.1, 2.0]),
        group=pd.array([7, 8], dtype="Int64"),
        label=pd.Categorical(same["label"]),
    )
    typed.to_parquet(tmp_path / "parquet/labels.parquet")
    pd.testing.assert_frame_equal(read(tmp_path / "csv"), read(tmp_path / "parquet"), check_dtype=False)


def test_whole_numbers_with_gaps_stay_whole_in_parquet_and_a_named_index_is_a_column(tmp_path):
    table = pd.DataFrame(
        {"path": ["a.png", "b.png"], "label": [True, False], "batch": pd.array([1, None], dtype="Int64")}
    )
    table.set_index("path").to_parquet(tmp_path / "labels.parquet")
    assert read(tmp_path).to_dict("list") == {
        "path": ["a.png", "b.png"], "label": ["True", "False"], "batch": ["1", ""]}  # fmt: skip


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"file": ["a.png"], "label": ["x"]}, "expected a column `path`.*found columns file, label"),
        ({"path": [], "label": []}, "a row per image"),
        ({"path": ["a.png"] * 2, "label": ["x", "y"]}, r"a\.png is listed more than once"),
    ],
)
def test_a_parquet_table_that_cannot_be_used_is_named(tmp_path, table, said):
    pd.DataFrame(table).to_parquet(tmp_path / "labels.parquet")
    with pytest.raises(UserError, match=said) as caught:
        read(tmp_path)
    assert str(tmp_path / "labels.parquet") in str(caught.value)


def test_no_parquet_at_all_or_two_tables_are_refused(tmp_path):
    (tmp_path / "labels.parquet").write_text("path,label\n")
    with pytest.raises(UserError, match=r"labels\.parquet: not a readable table"):
        read(tmp_path)
    with pytest.raises(UserError, match=r"both labels\.csv and labels\.parquet; keep one"):
        read(write_table(tmp_path, "path,label\na.png,x\n"))


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
    paths = {name: str(tmp_path / name) for name in ("dev", "test", "report", "timings")}
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


def test_folders_of_classes_without_an_image_are_named_with_what_they_hold(tmp_path):
    for name in ("cat/a.png", "dog/a.heic", "dog/b.heic", "owl/.hidden", "fox/inner/a.png", ".git/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert empty_classes(tmp_path) == [
        "dog (2 other file(s) or folder(s), such as a.heic)",
        "fox (1 other file(s) or folder(s), such as inner)",
        "owl (empty)",
    ]


def test_with_a_split_by_folders_each_side_is_looked_at(tmp_path):
    for name in ("train/cat", "train/dog", "test/cat", "test/dog"):
        (tmp_path / name).mkdir(parents=True)
        if name != "test/dog":
            (tmp_path / name / "a.png").write_bytes(b"")
    assert empty_classes(tmp_path) == ["test/dog (empty)"]


def test_where_classes_are_no_folders_none_is_empty(image_folder):
    assert empty_classes(image_folder) == []
