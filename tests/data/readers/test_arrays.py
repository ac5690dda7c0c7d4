import zipfile

import numpy as np
import pytest

from pipeline.common.errors import UserError
from pipeline.data import readers
from pipeline.data.image_files import ImageFiles
from tests.support.arrays import IMAGES, LABELS, kinds, pixels, written

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


def test_a_folder_with_one_npz_file_is_read_as_that_file_and_with_two_is_refused(tmp_path):
    written(tmp_path, "npz")
    table = readers.read(tmp_path)
    assert table["path"][3] == "photos.npz/0000003"
    with ImageFiles(tmp_path) as contents:
        assert (pixels(contents.read(table["path"][3])) == IMAGES[3]).all()
    written(tmp_path, "npy")
    with pytest.raises(UserError, match=r"more than one array of images: images\.npy, photos\.npz"):
        readers.read(tmp_path)


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
    with pytest.raises(UserError, match=r"data\.path: .*images\.npy is neither a folder nor an \.npz file"):
        readers.read(file)
