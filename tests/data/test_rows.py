import io
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.common.errors import UserError
from pipeline.data import readers
from pipeline.data.contents import Contents
from pipeline.data.rows import Rows
from tests.support.packing import index, pack

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (12, 6, 5, 3), dtype=np.uint8)
LABELS = np.arange(12) % 3


def pixels(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def written(folder, kind, images=IMAGES, **others):
    """Write arrays in one of three forms; return the file of images and what data.path would be."""
    others = {"labels": LABELS, **others}
    others = {name: values for name, values in others.items() if values is not None}
    if kind == "npy":
        for name, values in {"images": images, **others}.items():
            np.save(folder / f"{name}.npy", values)
        return folder / "images.npy", folder
    save = np.savez_compressed if kind == "packed" else np.savez
    save(folder / "photos.npz", images=images, **others)
    return folder / "photos.npz", folder / "photos.npz"


kinds = pytest.mark.parametrize("kind", ["npy", "npz", "packed"])


@kinds
@given(st.lists(st.integers(0, 11), max_size=20))
def test_rows_are_read_in_any_order_as_image_files_of_the_same_pixels(tmp_path_factory, kind, order):
    rows = Rows(written(tmp_path_factory.mktemp("arrays"), kind)[0])
    assert len(rows) == 12
    for row in order:
        assert (pixels(rows.read(row)) == IMAGES[row]).all()
    rows.close()


@pytest.mark.parametrize("shape", [(4, 7, 5), (4, 7, 5, 1), (4, 7, 5, 3), (4, 7, 5, 4)])
def test_every_shape_that_is_allowed_is_read(tmp_path, shape):
    images = RNG.integers(0, 256, shape, dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    rows = Rows(tmp_path / "images.npy")
    assert (pixels(rows.read(3)) == images[3].squeeze()).all()


@pytest.mark.parametrize("row", [12, -1])
def test_a_row_that_is_not_there_is_named(tmp_path, row):
    with pytest.raises(ValueError, match=f"no row {row}, only 0 to 11"):
        Rows(written(tmp_path, "npy")[0]).read(row)


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


BAD_LABELS = {
    "too few": (LABELS[:-1], r"`labels` has the shape \(11,\); expected one for each of 12 images: \(12,\)"),
    "one-hot": (np.eye(3)[LABELS], r"shape \(12, 3\)"),
    "floats": (LABELS / 2, "`labels` are float64; expected whole numbers or text"),
    "objects": (LABELS.astype(object), "`labels` cannot be read: Python objects; expected numbers or text"),
    "missing": (None, "there is no array `labels` beside the images; save one of 12 labels"),
}


@kinds
@pytest.mark.parametrize("case", BAD_LABELS)
def test_labels_of_another_kind_are_refused(tmp_path, kind, case):
    labels, said = BAD_LABELS[case]
    file, root = written(tmp_path, kind, labels=labels)
    with pytest.raises(UserError, match=said) as caught:
        readers.read(root)
    assert str(file) in str(caught.value)


def test_a_pickle_is_never_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (tmp_path / "ran").touch, ()

    _, root = written(tmp_path, "npy", labels=np.array([Bomb()] * 12))
    with pytest.raises(UserError, match="Python objects"):
        readers.read(root)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("labels", [np.array(["größe", "b", "c"] * 4), LABELS.reshape(-1, 1), LABELS == 1,
                                    np.array([b"ab", b"c"] * 6)])  # fmt: skip
@kinds
def test_labels_are_read_as_text(tmp_path, kind, labels):
    table = readers.read(written(tmp_path, kind, labels=labels)[1])
    plain = [value.decode() if isinstance(value, bytes) else str(value) for value in labels.ravel().tolist()]
    assert table["label"].tolist() == plain
    assert list(table) == ["path", "label"]


@kinds
def test_groups_and_splits_may_stand_beside_the_labels(tmp_path, kind):
    split = np.array(["Train", "val", "TEST"] * 4)
    table = readers.read(written(tmp_path, kind, group=np.arange(12), split=split)[1])
    assert table["split"].tolist() == ["train", "valid", "test"] * 4
    assert table["group"].tolist() == [str(number) for number in range(12)]


@kinds
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_weights_may_stand_beside_the_labels(tmp_path, kind, dtype):
    _, root = written(tmp_path, kind, weight=np.linspace(1, 12, 12, dtype=dtype))
    assert [float(text) for text in readers.read(root)["weight"]] == list(range(1, 13))


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


def test_a_folder_with_one_npz_file_is_read_as_that_file_and_with_two_is_refused(tmp_path):
    written(tmp_path, "npz")
    table = readers.read(tmp_path)
    assert table["path"][3] == "photos.npz/0000003"
    with Contents(tmp_path) as contents:
        assert (pixels(contents.read(table["path"][3])) == IMAGES[3]).all()
    written(tmp_path, "npy")
    with pytest.raises(UserError, match=r"more than one array of images: images\.npy, photos\.npz"):
        readers.read(tmp_path)


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
    with Contents(tmp_path / "in") as contents, pytest.raises(ValueError, match="leads out"):
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


def test_other_files_with_these_names_are_refused(tmp_path):
    (tmp_path / "photos.npz").write_text("no archive")
    with pytest.raises(UserError, match=r"photos\.npz: not a readable array"):
        readers.read(tmp_path / "photos.npz")
    with zipfile.ZipFile(tmp_path / "photos.npz", "w") as archive:
        archive.writestr("pictures.npy", b"")
    with pytest.raises(UserError, match="has no array `images`; it has pictures"):
        readers.read(tmp_path / "photos.npz")
    (tmp_path / "images.npy").write_text("no array")
    (tmp_path / "photos.npz").unlink()
    with pytest.raises(UserError, match=r"images\.npy: "):
        readers.read(tmp_path)


def test_a_file_that_is_no_npz_is_refused(tmp_path):
    file, _ = written(tmp_path, "npy")
    with pytest.raises(UserError, match=r"data\.path: .*images\.npy is not a folder, and no \.npz file"):
        readers.read(file)
