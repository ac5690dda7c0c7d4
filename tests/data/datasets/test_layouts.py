import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline.common.errors import UserError
from pipeline.data.datasets.layouts import Item, as_arrays, as_files, fresh
from pipeline.data.image_arrays import ImageArray
from pipeline.data.readers import read


def step(count):
    pass


@given(arrays.arrays(np.uint8, st.one_of(
    arrays.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=12),
    st.tuples(st.integers(1, 12), st.integers(1, 4), st.integers(1, 4), st.sampled_from([1, 3, 4])))))  # fmt: skip
def test_arrays_are_those_that_numpy_would_save(tmp_path_factory, images):
    out = tmp_path_factory.mktemp("arrays")
    assert as_arrays(out, (Item(image, "a") for image in images), step) == len(images)
    assert np.array_equal(np.load(out / "images.npy"), images)
    assert len(ImageArray(out / "images.npy")) == len(images)
    assert not (out / "split.npy").exists()


def test_an_image_of_another_shape_is_refused(tmp_path):
    items = [Item(np.zeros((2, 2), np.uint8), "a"), Item(np.zeros((2, 3), np.uint8), "a")]
    with pytest.raises(ValueError, match=r"image 1 has the shape \(2, 3\), those before it \(2, 2\)"):
        as_arrays(tmp_path, items, step)
    with pytest.raises(ValueError, match="there are no images"):
        as_arrays(tmp_path, [], step)


def test_images_are_written_as_they_come(tmp_path):
    """Of many images, one is in memory at a time."""
    seen = []

    def images():
        for number in range(2000):
            seen.append(os.path.getsize(tmp_path / "images.npy") if number else 0)
            yield Item(np.full((64, 64), number % 256, np.uint8), "a", "train")

    as_arrays(tmp_path, images(), step)
    assert seen[-1] > 1900 * 64 * 64  # what is not yet written is a buffer's worth


@pytest.mark.parametrize("columns", [("split", "group"), ("split",), ()])
def test_files_are_copied_and_listed_by_path_with_the_columns_there_are(tmp_path, columns):
    (tmp_path / "from/b").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    items = []
    for number, name in enumerate(("b/ü, 1.png", "a.png")):
        (tmp_path / "from" / name).write_bytes(bytes([number]))
        given = {"split": ["train", "test"][number], "group": f"{number}"}
        items.append(Item(tmp_path / "from" / name, "x,y", **{name: given[name] for name in columns}))
    assert as_files(tmp_path / "out", tmp_path / "from", items, step) == 2
    table = read(tmp_path / "out")
    assert list(table) == ["path", "label", *columns]
    assert table["path"].tolist() == ["a.png", "b/ü, 1.png"]
    assert (tmp_path / "out/labels.csv").read_text(encoding="utf-8").splitlines()[1].startswith("a.png,")
    assert [(tmp_path / "out" / path).read_bytes() for path in table["path"]] == [b"\1", b"\0"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    out = tmp_path / "raw/set"

    def fail():
        with fresh(out) as part:
            (part / "half").write_text("")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list((tmp_path / "raw").iterdir()) == []
    with fresh(out) as part:
        assert not out.exists()
        (part / "a").write_text("")
    assert [path.name for path in (tmp_path / "raw").rglob("*")] == ["set", "a"]


def test_what_a_killed_run_left_is_not_part_of_the_next(tmp_path):
    with fresh(tmp_path / "set") as part:
        left = part
    left.mkdir()
    (left / "half").write_text("")
    (tmp_path / "set").rmdir()
    with fresh(tmp_path / "set"):
        pass
    assert list(tmp_path.rglob("*")) == [tmp_path / "set"]


def test_a_folder_with_anything_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("")
    with pytest.raises(UserError, match="exists already; remove it"), fresh(tmp_path):
        pass
    assert (tmp_path / "mine").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file.*: Not a directory; free space"), fresh(tmp_path / "file/set"):
        pass
