import shutil

import pandas as pd
import pytest

from pipeline.config.params import Prepare
from pipeline.data.inspection import inspect
from pipeline.data.scan import Plan
from tests.support.folders import three_classes

WANTED = Prepare(image_size=32, test_fraction=0.25, valid_fraction=0.2, seed=0)


def problems(root):
    return inspect(Plan(root, WANTED.image_size, WANTED.max_pixels), WANTED, lambda count: lambda step: None).problems


@pytest.fixture
def folders(tmp_path):
    """A folder per class: 20 images each of a, b and c."""
    return three_classes(tmp_path / "my photos")


def test_a_truncated_image_is_found_though_its_header_is_whole(folders):
    file = folders / "a" / "30.png"
    file.write_bytes(file.read_bytes()[:200])
    (problem,) = problems(folders)
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
    (problem,) = problems(folders)
    assert said in problem


def test_a_split_that_cannot_be_drawn_is_said(lay_out):
    data = lay_out()
    table = pd.read_csv(data / "labels.csv", dtype=str)
    table.assign(group=table["label"]).to_csv(data / "labels.csv", index=False)  # one group per class
    (problem,) = problems(data)
    assert "group" in problem
