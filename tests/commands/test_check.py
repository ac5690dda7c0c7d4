import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from pipeline.commands.check import inspect
from pipeline.config.params import Params, Prepare
from pipeline.data.checked import Checked
from pipeline.data.scan import Plan
from tests.support.imports import ROOT
from tests.test_docs import merge

WANTED = Prepare(image_size=32, test_fraction=0.25, valid_fraction=0.2, seed=0)


def look(root, base=None):
    checked = Checked(root / "unused", "")  # not entered: remembers nothing
    plan = Plan(root, WANTED.image_size, WANTED.max_pixels)
    return inspect(plan, base or root.parent, WANTED, checked, lambda count: lambda step: None)


def picture(path, seed, size=(8, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)).save(path)


@pytest.fixture
def folders(tmp_path):
    """A folder per class: 20 images each of a, b and c."""
    for number in range(60):
        picture(tmp_path / "my photos" / "abc"[number % 3] / f"{number:02}.png", number, (8 + number, 9))
    return tmp_path / "my photos"


def test_a_folder_is_described_in_a_few_lines(folders):
    found = look(folders)
    assert found.problems == []
    assert found.facts == [
        str(folders), "kind: a folder of images per class", "images: 60, all decoded in full",
        "classes: 3: a 20, b 20, c 20", "sizes: 9x8 to 9x67 pixels, grey", "exact copies: 0", "split: drawn by prepare",
    ]  # fmt: skip


def test_the_settings_shown_are_valid_and_lead_to_the_folder(folders):
    found = look(folders)
    assert found.settings == [
        "data.name: my-photos", "data.path: my photos", "download: []", "prepare.stratify: []",
        "register.model: headstart-my-photos",
    ]  # fmt: skip
    raw = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    assert Params(**merge(raw, yaml.safe_load("\n".join(found.settings)))).data.path == "my photos"
    assert f"data.path: {folders}" in look(folders, folders / "a").settings


@pytest.mark.parametrize("name", ["été", "7: # x", "-", "..a"])
def test_settings_are_valid_whatever_the_folder_is_called(folders, name):
    root = folders.rename(folders.with_name(name))
    raw = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    assert Params(**merge(raw, yaml.safe_load("\n".join(look(root).settings)))).data.path == name


def test_groups_splits_copies_and_unused_files_are_told(lay_out):
    data = lay_out()
    shutil.copy(data / "000.png", data / "002.png")
    table = pd.read_csv(data / "labels.csv", dtype=str)[:46]
    table.assign(group=[f"{n // 2}" for n in range(46)], split=["train"] * 30 + ["val"] * 4 + ["test"] * 12).to_csv(
        data / "labels.csv", index=False
    )
    found = look(data)
    assert found.problems == []
    assert found.facts[-4:] == [
        "exact copies: 1", "groups: 23, of 2 to 2 images; none is parted", "split: yours: train 30, valid 4, test 12",
        "not used: 2 image file(s) that are no part of it, such as 046.png",
    ]  # fmt: skip


def test_weights_are_told_and_wrong_ones_named(lay_out):
    root = lay_out()
    table = pd.read_csv(root / "labels.csv").assign(weight=2.5)
    table.to_csv(root / "labels.csv", index=False)
    found = look(root)
    assert found.problems == []
    assert "weight: what each image counts in training; scores count all alike" in found.facts
    table.assign(weight=["heavy", *table["weight"][1:]]).to_csv(root / "labels.csv", index=False)
    assert any("found 000.png ('heavy') (1 such rows)" in each for each in look(root).problems)


def test_all_kinds_of_problems_are_found_at_once_with_up_to_ten_of_a_kind(lay_out):
    data = lay_out(per_class=40)
    for number in range(12):
        (data / f"{number:03}.png").write_bytes(b"")
    image = (data / "012.png").read_bytes()
    (data / "012.png").write_bytes(image[: len(image) // 2])  # its header is whole
    (data / "013.png").unlink()
    shutil.copy(data / "020.png", data / "021.png")  # of another class
    shutil.copy(data / "020.png", data / "078.png")  # in test
    table = pd.read_csv(data / "labels.csv", dtype=str)
    table["split"] = ["train"] * 60 + ["test"] * 20
    table.loc[30, "split"], table.loc[31, "label"] = "dev", ""
    table["group"] = [f"{n}" for n in range(80)]
    table.loc[[40, 70], "group"] = "both"
    table.loc[41, "group"] = ""
    table.to_csv(data / "labels.csv", index=False)
    found = look(data)
    said = "\n".join(found.problems)
    assert len(found.problems) == 7
    for words in ("030.png ('dev')", "no label for 031.png", "no group for 041.png", "14 file(s) cannot be used",
                  "020.png (low), 021.png (top), 078.png (low)", "020.png (train), 078.png (test)",
                  "040.png (train), 070.png (test)"):  # fmt: skip
        assert words in said, words
    assert said.count("the file is empty") == 10
    assert "7 problem(s)" in found.text()


def test_a_truncated_image_is_found_though_its_header_is_whole(folders):
    file = folders / "a" / "30.png"
    file.write_bytes(file.read_bytes()[:200])
    (problem,) = look(folders).problems
    assert "a/30.png: not a readable image" in problem


@pytest.mark.parametrize(("break_it", "said"), [
    (lambda root: shutil.rmtree(root), "is not a folder"),
    (lambda root: [shutil.rmtree(root / name) for name in "abc"], "holds neither a labels.csv"),
    (lambda root: [shutil.rmtree(root / name) for name in "ab"], "two classes or more"),
    (lambda root: [file.unlink() for file in sorted((root / "c").iterdir())[4:]], "'c' (4)"),
    (lambda root: (root / "labels.csv").write_text("path\na/00.png\n"), "no column 'label'"),
    (lambda root: (root / "labels.csv").write_text("file,label\n"), "expected a column `path`"),
])  # fmt: skip
def test_what_makes_a_folder_useless_is_said(folders, break_it, said):
    break_it(folders)
    (problem,) = look(folders).problems
    assert said in problem


def test_a_label_of_another_name_is_proposed(lay_out):
    data = lay_out()
    text = (data / "labels.csv").read_text().replace("path,label,camera", "path,kind,camera")
    (data / "labels.csv").write_text(text)
    found = look(data)
    assert "label: there is no column label; kind is taken, of kind, camera" in found.facts
    assert "data.label: kind" in found.settings
    assert found.problems == []


def test_a_split_that_cannot_be_drawn_is_said(lay_out):
    data = lay_out()
    table = pd.read_csv(data / "labels.csv", dtype=str)
    table.assign(group=table["label"]).to_csv(data / "labels.csv", index=False)  # one group per class
    (problem,) = look(data).problems
    assert "group" in problem


def test_an_array_is_described_as_a_folder_is(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (250, 4, 4, 4), dtype=np.uint8)
    np.savez(tmp_path / "set.npz", images=images, labels=np.arange(250) % 12)
    found = look(tmp_path / "set.npz")
    assert found.problems == []
    assert found.facts[1:3] == ["kind: packed arrays", "images: 250, all decoded in full"]
    assert found.settings[1] == "data.path: set.npz"
    assert "sizes: 4x4 pixels, colour" in found.facts
