import pytest

from pipeline.common.errors import UserError
from pipeline.data.readers import empty_classes, read
from tests.support.folders import write_table


def test_a_table_counts_for_more_than_folders(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.png").write_bytes(b"")
    assert read(write_table(tmp_path, "path,label\ncat/a.png,tiger\n"))["label"].tolist() == ["tiger"]


def test_a_folder_of_no_known_kind_is_refused_naming_the_kinds(tmp_path):
    with pytest.raises(UserError, match=r"neither a labels\.csv .* nor a folder of images per class"):
        read(tmp_path)


def test_a_missing_folder_is_refused_naming_the_setting(tmp_path):
    with pytest.raises(UserError, match=r"data\.path: .*nowhere does not exist"):
        read(tmp_path / "nowhere")


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
    with pytest.raises(UserError, match=r"no group for b\.png \(2 such rows\); give each image"):
        read(write_table(tmp_path, "path,label,group\na.png,x,1\nb.png,x,\nc.png,y, \n"))


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
