import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.common.errors import UserError
from pipeline.data import readers
from pipeline.data.image_arrays import ImageArray
from pipeline.data.image_files import ImageFiles
from tests.support.arrays import IMAGES, RNG, kinds, pixels, written
from tests.support.packing import index, pack


@kinds
@given(st.lists(st.integers(0, 11), max_size=20))
def test_rows_are_read_in_any_order_as_image_files_of_the_same_pixels(tmp_path_factory, kind, order):
    rows = ImageArray(written(tmp_path_factory.mktemp("arrays"), kind)[0])
    assert len(rows) == 12
    for row in order:
        assert (pixels(rows.read(row)) == IMAGES[row]).all()
    rows.close()


@pytest.mark.parametrize("shape", [(4, 7, 5), (4, 7, 5, 1), (4, 7, 5, 3), (4, 7, 5, 4)])
def test_every_shape_that_is_allowed_is_read(tmp_path, shape):
    images = RNG.integers(0, 256, shape, dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    rows = ImageArray(tmp_path / "images.npy")
    assert (pixels(rows.read(3)) == images[3].squeeze()).all()


@pytest.mark.parametrize("row", [12, -1])
def test_a_row_that_is_not_there_is_named(tmp_path, row):
    with pytest.raises(ValueError, match=f"no row {row}, only 0 to 11"):
        ImageArray(written(tmp_path, "npy")[0]).read(row)


BAD = {
    "floats": (IMAGES / 255, "images are float64; expected uint8"),
    "signed": (IMAGES.astype(np.int64), "images are int64; expected uint8"),
    "five axes": (IMAGES[None], r"shape \(1, 12, 6, 5, 3\); expected \(N, H, W\)"),
    "two axes": (IMAGES[:, :, 0, 0], r"shape \(12, 6\); expected"),
    "two channels": (IMAGES[..., :2], r"shape \(12, 6, 5, 2\); .*C 1, 3 or 4"),
    "channels first": (IMAGES.transpose(0, 3, 1, 2), r"shape \(12, 3, 6, 5\)"),
    "none": (IMAGES[:0], "there are none"),
    "by columns": (np.asfortranarray(IMAGES), "np.ascontiguousarray"),
    "objects": (np.array([None, *IMAGES], dtype=object), "Python objects; expected uint8"),
}


@kinds
@pytest.mark.parametrize("case", BAD)
def test_images_of_another_kind_are_refused_naming_the_file_and_what_is_expected(tmp_path, kind, case):
    images, said = BAD[case]
    file, root = written(tmp_path, kind, images)
    with pytest.raises(UserError, match=said) as caught:
        readers.read(root)
    assert str(caught.value).startswith(f"{file}: ")


@kinds
def test_each_row_is_an_image_with_its_own_id_and_is_packed_as_it_is(tmp_path, kind):
    images = IMAGES[:, :5].copy()
    images[7] = images[1]
    _, root = written(tmp_path, kind, images)
    table = index(root, readers.read(root), "label", ())
    assert len(set(table["id"])) == 11
    assert table["id"][7] == table["id"][1]
    assert (set(table["width"]), set(table["height"]), set(table["grey"])) == ({5}, {5}, {False})
    pack(root, table, tmp_path / "out", 5, False)
    assert (np.load(tmp_path / "out" / "images.npy") == images).all()


def test_the_id_is_the_same_in_every_form_and_another_for_another_shape(tmp_path):
    ids = set()
    for kind in ("npy", "npz", "packed"):
        (tmp_path / kind).mkdir()
        _, root = written(tmp_path / kind, kind)
        ids |= {tuple(index(root, readers.read(root), "label", ())["id"])}
    _, root = written(tmp_path, "npy", IMAGES.reshape(12, 5, 6, 3))
    other = index(root, readers.read(root), "label", ())["id"]
    assert len(ids) == 1
    assert not {*ids.pop()} & {*other}


def test_a_table_may_name_rows_of_an_array(tmp_path):
    written(tmp_path, "npy")
    (tmp_path / "labels.csv").write_text("path,label,camera\nimages.npy/3,a,x\nimages.npy/10,b,y\n")
    table = index(tmp_path, readers.read(tmp_path), "label", ("camera",))
    assert table["path"].tolist() == ["images.npy/10", "images.npy/3"]
    assert table["width"].tolist() == [5, 5]
    for path, said in (("images.npy/12", "no row 12"), ("images.npy/x", "number of a row, found 'x'")):
        (tmp_path / "labels.csv").write_text(f"path,label\n{path},a\n")
        with pytest.raises(UserError, match=said):
            index(tmp_path, readers.read(tmp_path), "label", ())


def test_an_array_out_of_the_folder_is_not_read(tmp_path):
    (tmp_path / "in").mkdir()
    written(tmp_path, "npy")
    (tmp_path / "in" / "images.npy").symlink_to(tmp_path / "images.npy")
    with ImageFiles(tmp_path / "in") as contents, pytest.raises(ValueError, match="leads out"):
        contents.read("images.npy/0000001")


@kinds
def test_half_a_file_is_refused(tmp_path, kind):
    file, root = written(tmp_path, kind, RNG.integers(0, 256, (12, 40, 40), dtype=np.uint8))
    file.write_bytes(file.read_bytes()[:9000])
    with pytest.raises(UserError, match=r"photos\.npz|holds fewer than the 12 images"):
        readers.read(root)


def test_a_damaged_archive_names_the_images(tmp_path):
    _, root = written(tmp_path, "packed")
    data = bytearray(root.read_bytes())
    data[300:340] = bytes(40)
    root.write_bytes(data)
    with pytest.raises(UserError, match=r"photos\.npz: .*not a readable array"):
        index(root, readers.read(root), "label", ())
