import pytest

from pipeline.common.errors import UserError
from pipeline.data.readers import read
from tests.support.folders import touch


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
    with pytest.raises(UserError, match=rf"test, train hold class folders, and 1 image.*such as {stray}"):
        read(tmp_path)
