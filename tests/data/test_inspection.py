import shutil

import pandas as pd
import pytest

from pipeline.config.params import Prepare
from pipeline.data.inspection import inspect
from tests.support.folders import three_classes

WANTED = Prepare(image_size=32, test_fraction=0.25, valid_fraction=0.2, seed=0)


def look(root, wanted=WANTED):
    return inspect(root, wanted, 32, lambda count: lambda step: None)


def problems(root):
    return look(root).problems


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
    (lambda root: shutil.rmtree(root), "does not exist"),
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


def test_what_is_found_of_a_sound_folder(folders):
    found = look(folders)
    assert (found.kind, found.images, found.label) == ("a folder of images per class", 60, "label")
    assert found.used.table["label"].value_counts().to_dict() == {"a": 20, "b": 20, "c": 20}
    assert (found.problems, found.notes, found.unused, found.kinds) == ([], [], [], {})
    assert found.left_out.empty


def test_progress_is_given_the_number_of_images_and_a_step_for_each(folders):
    steps = []
    inspect(folders, WANTED, 32, lambda count: steps.append(count) or steps.append)
    assert steps == [60] + [1] * 60


def test_what_cannot_be_used_is_known_though_nothing_can(folders):
    for file in folders.rglob("*.png"):
        file.write_bytes(b"")
    found = look(folders)
    assert found.used is None
    assert found.kinds == {"cannot be used": 60}
    assert len(found.left_out) == 60


def test_what_would_be_left_out_is_no_problem_where_it_is(folders):
    (folders / "a" / "00.png").write_bytes(b"")
    (folders / "empty").mkdir()
    assert len(look(folders).problems) == 2
    found = look(folders, WANTED.model_copy(update={"on_problem": "exclude"}))
    assert found.problems == []
    assert found.notes == ["Class folders without images are ignored: empty (empty)."]
    assert found.left_out["path"].tolist() == ["a/00.png"]
