import json
import os
from contextlib import suppress

import pandas as pd
import pytest

from pipeline.commands.prediction_table import PartialTable, partial_table, write_table
from pipeline.common.errors import UserError

BY = {"model": "m", "images": "file:///photos"}
COLUMNS = ["path", "label", "probability", "p_a", "error"]


def row(path, label="a"):
    return {"path": path, "label": label, "probability": 0.75, "p_a": 0.75, "error": None}


@pytest.fixture
def out(tmp_path):
    return tmp_path / "new" / "predictions.csv"


def killed(out, *paths):
    """Leave the partial table of a process that was killed."""
    out.parent.mkdir(exist_ok=True)
    table = PartialTable(out.with_name(f".{out.name}.partial"), BY)
    table.add(map(row, paths))
    return out.with_name(f".{out.name}.partial")


def test_what_was_written_before_a_kill_is_there_wherever_it_was_cut(out):
    file = killed(out, "a.png", "b\n.png", "é.png")
    whole = file.read_bytes()
    for cut in range(len(whole) + 1):
        file.write_bytes(whole[:cut])
        table = PartialTable(file, BY)
        table.add([row("new.png")])
        table.close()
        lines = whole[:cut].count(b"\n")
        kept = ["a.png", "b\n.png", "é.png"][: max(lines - 1, 0)]
        again = PartialTable(file, BY)
        assert again.rows == {path: row(path) for path in [*kept, "new.png"]}
        again.close()


def test_rows_of_another_model_or_of_other_images_are_not_taken_over(out):
    file = killed(out, "a.png")
    for other in ({"model": "n"}, {"images": "elsewhere"}):
        before = file.read_bytes()
        assert PartialTable(file, BY | other).rows == {}
        file.write_bytes(before)


def test_a_partial_file_goes_once_all_is_well_and_stays_otherwise(out):
    with suppress(KeyboardInterrupt), partial_table(out, BY, False) as table:
        table.add([row("a.png")])
        raise KeyboardInterrupt
    with partial_table(out, BY, False) as table:
        assert [*table.rows] == ["a.png"]
        out.touch()
    assert [file.name for file in out.parent.iterdir()] == ["predictions.csv"]


def test_a_table_is_not_replaced_unless_asked_or_it_is_ones_own(out):
    out.parent.mkdir()
    out.touch()
    with pytest.raises(UserError, match="is there already; name another file, or give --overwrite"):
        partial_table(out, BY, False).__enter__()
    with partial_table(out, BY, True):
        pass
    killed(out, "a.png")  # after it had written the table
    with partial_table(out, BY, False) as table:
        assert [*table.rows] == ["a.png"]


def test_two_do_not_write_one_table(out):
    with partial_table(out, BY, False), pytest.raises(UserError, match="another process is writing it"):
        partial_table(out, BY, False).__enter__()


def test_a_place_that_cannot_be_written_and_other_formats_are_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written: "):
        partial_table(tmp_path / "file" / "p.csv", BY, False).__enter__()
    with pytest.raises(UserError, match=r"p.txt: --out must end in .csv or .parquet"):
        partial_table(tmp_path / "p.txt", BY, False).__enter__()


@pytest.mark.parametrize("suffix", ["csv", "parquet", "PARQUET"])
def test_rows_are_written_by_the_suffix(tmp_path, suffix):
    out, name = tmp_path / f"p.{suffix}", os.fsdecode(b"\xff.png")
    bad = {"path": name, "error": "the file is empty"}
    write_table(out, [row("a,b.png"), bad], COLUMNS)
    found = pd.read_csv(out) if suffix == "csv" else pd.read_parquet(out)
    assert list(found) == COLUMNS
    assert found["path"].tolist() == ["a,b.png", r"\udcff.png"]
    assert json.loads(found.to_json(orient="values")) == [
        ["a,b.png", "a", 0.75, 0.75, None], [r"\udcff.png", None, None, None, "the file is empty"]]  # fmt: skip


def test_a_table_without_errors_or_without_answers_has_the_same_types(tmp_path):
    schemas = []
    for rows in ([row("a.png")], [{"path": "b.png", "error": "no"}]):
        write_table(tmp_path / "p.parquet", rows, COLUMNS)
        schemas.append(pd.read_parquet(tmp_path / "p.parquet").dtypes.astype(str).tolist())
    assert schemas[0] == schemas[1]
