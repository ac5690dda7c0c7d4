import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from pipeline.commands.app import main
from pipeline.commands.check import described
from pipeline.config.params import Params, Prepare
from pipeline.data.inspection import inspect
from tests.support.folders import picture, three_classes

WANTED = Prepare(image_size=32, test_fraction=0.25, valid_fraction=0.2, seed=0)


def look(root):
    """Return what is found, and the lines that describe it, without the problems."""
    found = inspect(root, WANTED, 32, lambda count: lambda step: None)
    lines = described(found, lenient=False)
    return found, lines[: lines.index("")]


@pytest.fixture
def folders(tmp_path):
    """A folder per class: 20 images each of a, b and c."""
    return three_classes(tmp_path / "my photos")


def test_a_folder_is_described_in_a_few_lines(folders):
    found, lines = look(folders)
    assert found.problems == []
    assert lines == [
        str(folders), "kind: a folder of images per class", "images: 60, all decoded in full",
        "classes: 3: a 20, b 20, c 20", "sizes: 9x8 to 9x67 pixels, grey", "exact copies: 0", "split: drawn by prepare",
    ]  # fmt: skip
    assert described(found, lenient=False)[-2:] == ["", "no problems"]


def test_groups_splits_copies_and_unused_files_are_reported(lay_out):
    data = lay_out()
    shutil.copy(data / "000.png", data / "002.png")
    table = pd.read_csv(data / "labels.csv", dtype=str)[:46]
    table.assign(group=[f"{n // 2}" for n in range(46)], split=["train"] * 30 + ["val"] * 4 + ["test"] * 12).to_csv(
        data / "labels.csv", index=False
    )
    found, lines = look(data)
    assert found.problems == []
    assert lines[-4:] == [
        "exact copies: 1", "groups: 23, of 2 to 2 images; none is parted", "split: yours: train 30, valid 4, test 12",
        "not used: 2 image file(s) that are no part of it, such as 046.png",
    ]  # fmt: skip


def test_weights_are_reported_and_wrong_ones_named(lay_out):
    root = lay_out()
    table = pd.read_csv(root / "labels.csv").assign(weight=2.5)
    table.to_csv(root / "labels.csv", index=False)
    found, lines = look(root)
    assert found.problems == []
    assert "weight: what each image counts in training; scores count all alike" in lines
    table.assign(weight=["heavy", *table["weight"][1:]]).to_csv(root / "labels.csv", index=False)
    assert any("found 000.png ('heavy') (1 such rows)" in each for each in look(root)[0].problems)


def test_all_kinds_of_problems_are_found_at_once(lay_out):
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
    found, _ = look(data)
    said = "\n".join(found.problems)
    assert len(found.problems) == 7
    for words in ("030.png ('dev')", "no label for 031.png", "no group for 041.png", "14 file(s) cannot be used",
                  "020.png (low), 021.png (top), 078.png (low)", "020.png (train), 078.png (test)",
                  "040.png (train), 070.png (test)"):  # fmt: skip
        assert words in said, words
    assert "000.png, 001.png, 002.png and 9 more: the file is empty" in said
    assert "7 problems" in described(found, lenient=False)


def test_a_label_of_another_name_is_proposed(lay_out):
    data = lay_out()
    text = (data / "labels.csv").read_text().replace("path,label,camera", "path,kind,camera")
    (data / "labels.csv").write_text(text)
    found, lines = look(data)
    assert "label: there is no column label; kind is taken, of kind, camera" in lines
    assert found.label == "kind"
    assert found.problems == []


def test_an_array_is_described_as_a_folder_is(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (250, 4, 4, 4), dtype=np.uint8)
    np.savez(tmp_path / "set.npz", images=images, labels=np.arange(250) % 12)
    found, lines = look(tmp_path / "set.npz")
    assert found.problems == []
    assert lines[1:3] == ["kind: packed arrays", "images: 250, all decoded in full"]
    assert "sizes: 4x4 pixels, colour" in lines


def spoil(folders):
    """Make of 60 images 57, of which 15 cannot be used, and of three classes five; return the names of the 15."""
    bad = [f"a/{number:02}.png" for number in range(0, 36, 3)]
    for name in bad:
        (folders / name).write_bytes(b"junk")
    Image.new("RGB", (9, 9)).save(folders / "b" / "01.png")
    Image.new("RGBA", (9, 9), (1, 2, 3, 0)).save(folders / "b" / "04.png")
    Image.new("L", (1, 1), 9).save(folders / "b" / "07.png")
    return [*bad, "b/01.png", "b/04.png", "b/07.png"]


@pytest.fixture
def checked(tmp_path, small_params, write_params, capsys):
    """A function that checks a folder, with params.yaml beside it; returns the exit code, what was said, and errors."""

    def run(root, **settings):
        small_params["prepare"] |= settings
        code = main(["check", str(root), "--params", str(write_params(tmp_path, small_params))])
        return code, *capsys.readouterr()

    return run


def test_what_cannot_be_used_is_counted_and_all_of_it_is_in_a_file_that_is_named(checked, folders, tmp_path):
    bad = spoil(folders)
    code, out, err = checked(folders)
    listing = tmp_path / ".headstart" / "check" / "my photos.csv"
    assert code == 2
    assert "images: 60, of which 45 can be used and 15 cannot" in out
    assert "decoded in full" not in out
    assert f"exclude would leave out: 15 image(s) (cannot be used: 15), listed in {listing}" in out
    for each in ("black all over", "transparent all over", "a single pixel", "and 9 more: not a readable image"):
        assert each in out
    assert err.endswith("cannot be used yet; fix the 1 problem above\n")
    listed = pd.read_csv(listing)
    assert listed["path"].tolist() == bad
    assert listed["reason"].str.startswith("cannot be used: ").all()


def test_where_nothing_can_be_used_all_is_in_the_file_too(checked, folders, tmp_path):
    for file in folders.rglob("*.png"):
        file.write_bytes(b"")
    code, out, _ = checked(folders)
    assert code == 2
    assert "images: 60, of which 0 can be used and 60 cannot" in out
    assert len(pd.read_csv(tmp_path / ".headstart" / "check" / "my photos.csv")) == 60


def test_the_list_goes_when_the_images_are_mended(checked, folders, tmp_path):
    (folders / "a" / "00.png").write_bytes(b"")
    checked(folders)
    picture(folders / "a" / "00.png", 99)
    assert checked(folders)[0] == 0
    assert list((tmp_path / ".headstart" / "check").iterdir()) == []


def test_images_that_are_left_out_are_no_problem(checked, folders):
    spoil(folders)
    code, out, _ = checked(folders, on_problem="exclude")
    assert code == 0
    assert "left out: 15 image(s) (cannot be used: 15), listed in " in out
    assert "  a/00.png: cannot be used: not a readable image (of no known format)\n" in out
    assert "no problems" in out


def test_empty_classes_lost_classes_and_classes_that_differ_in_case_are_reported(checked, folders):
    (folders / "empty").mkdir()
    (folders / "broken").mkdir()
    for number in range(20):
        (folders / "broken" / f"{number}.png").write_bytes(b"")
        picture(folders / ("Fish", "fish")[number % 2] / f"{number}.png", 100 + number)
    code, out, _ = checked(folders)
    assert code == 2
    assert "4 problems" in out
    for said in ("1 class folder(s) hold no image: empty (empty)", "no image of 'broken' (20) can be used",
                 "differ only in case or spaces: 'Fish' (10), 'fish' (10)", "20 file(s) cannot be used"):  # fmt: skip
        assert said in out
    code, out, _ = checked(folders, on_problem="exclude")
    assert code == 2
    assert "1 problem\n" in out
    assert "- " + str(folders) + ": no image of 'broken' (20) can be used" in out
    assert "are ignored: empty (empty)" in out


def test_a_limit_on_a_class_that_is_not_there_is_reported(checked, folders, small_params):
    small_params["constraints"] = {"min_recall": {"defective": 0.7}}
    code, out, _ = checked(folders)
    assert code == 2
    assert "constraints.min_recall: no class is called defective; the data has a, b and c" in out


def test_the_lines_that_use_it_are_printed_as_they_stand_in_the_file(checked, folders, small_params):
    code, out, _ = checked(folders)
    assert code == 0
    text = out.partition("sets in ")[2].partition(":\n\n")[2]
    assert yaml.safe_load(text)["data"] == {"name": "my-photos", "path": "my photos"}
    assert "." not in "".join(yaml.safe_load(text))
    for section, keys in yaml.safe_load(text).items():
        small_params[section] |= keys
    assert Params(**small_params).data.path == "my photos"


def test_a_check_changes_no_file_of_the_users(checked, folders, tmp_path):
    before = {path: path.read_bytes() for path in folders.rglob("*") if path.is_file()}
    spoiled = spoil(folders)
    before |= {folders / name: (folders / name).read_bytes() for name in spoiled}
    checked(folders)
    assert {path: path.read_bytes() for path in folders.rglob("*") if path.is_file()} == before
    assert {path.name for path in tmp_path.iterdir()} == {"my photos", "params.yaml", ".headstart"}
