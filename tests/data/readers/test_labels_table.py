import numpy as np
import pandas as pd
import pytest

from pipeline.common.errors import UserError
from pipeline.data.readers import read
from tests.support.folders import write_table


def test_a_table_is_read_as_text_sorted_by_path(tmp_path):
    table = read(write_table(tmp_path, "path,label,score\nb.png,NA,007\na.png,1,0.50\n"))
    assert table.to_dict("list") == {"path": ["a.png", "b.png"], "label": ["1", "NA"], "score": ["0.50", "007"]}


def test_a_table_saved_by_a_spreadsheet_is_read(tmp_path):
    assert list(read(write_table(tmp_path, "\ufeffpath,label\r\na.png,x\r\n"))) == ["path", "label"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a readable table"),
        ('path,label\n"a.png,x\n', "not a readable table"),
        ("path,label\na.png,x\nb.png,x,1\n", "not a readable table"),
        ("file,label\na.png,x\n", "expected a column `path`.*found columns file, label"),
        ("path;label\na.png;x\n", "expected a column `path`"),
        ("path,label\n", "a row per image"),
        ("path,label\na.png,x\na.png,y\n", r"a\.png is listed more than once"),
        ("path,label\na.png,x,1\nb.png,y,2\n", "label"),
    ],
)
def test_a_table_that_cannot_be_used_is_named_with_what_is_wrong(tmp_path, text, said):
    with pytest.raises(UserError, match=said) as caught:
        read(write_table(tmp_path, text))
    assert str(tmp_path / "labels.csv") in str(caught.value)


def test_a_table_in_another_encoding_is_named(tmp_path):
    (tmp_path / "labels.csv").write_bytes("path,label\nü.png,x\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"labels\.csv: not a readable table"):
        read(tmp_path)


@pytest.fixture
def same():
    return pd.DataFrame({"path": ["b.png", "a.png"], "label": ["1", "NA"], "group": ["7", "8"], "score": ["0.5", ""],
                         "weight": ["0.1", "2.0"]})  # fmt: skip


def test_parquet_says_what_csv_says(tmp_path, same):
    for name in ("csv", "parquet"):
        (tmp_path / name).mkdir()
    same.to_csv(tmp_path / "csv/labels.csv", index=False)
    typed = same.assign(
        score=[0.5, None],
        weight=np.array([0.1, 2.0]),
        group=pd.array([7, 8], dtype="Int64"),
        label=pd.Categorical(same["label"]),
    )
    typed.to_parquet(tmp_path / "parquet/labels.parquet")
    pd.testing.assert_frame_equal(read(tmp_path / "csv"), read(tmp_path / "parquet"), check_dtype=False)


def test_whole_numbers_with_gaps_stay_whole_in_parquet_and_a_named_index_is_a_column(tmp_path):
    table = pd.DataFrame(
        {"path": ["a.png", "b.png"], "label": [True, False], "batch": pd.array([1, None], dtype="Int64")}
    )
    table.set_index("path").to_parquet(tmp_path / "labels.parquet")
    assert read(tmp_path).to_dict("list") == {
        "path": ["a.png", "b.png"], "label": ["True", "False"], "batch": ["1", ""]}  # fmt: skip


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"file": ["a.png"], "label": ["x"]}, "expected a column `path`.*found columns file, label"),
        ({"path": [], "label": []}, "a row per image"),
        ({"path": ["a.png"] * 2, "label": ["x", "y"]}, r"a\.png is listed more than once"),
    ],
)
def test_a_parquet_table_that_cannot_be_used_is_named(tmp_path, table, said):
    pd.DataFrame(table).to_parquet(tmp_path / "labels.parquet")
    with pytest.raises(UserError, match=said) as caught:
        read(tmp_path)
    assert str(tmp_path / "labels.parquet") in str(caught.value)


def test_no_parquet_at_all_or_two_tables_are_refused(tmp_path):
    (tmp_path / "labels.parquet").write_text("path,label\n")
    with pytest.raises(UserError, match=r"labels\.parquet: not a readable table"):
        read(tmp_path)
    with pytest.raises(UserError, match=r"both labels\.csv and labels\.parquet; keep one"):
        read(write_table(tmp_path, "path,label\na.png,x\n"))
