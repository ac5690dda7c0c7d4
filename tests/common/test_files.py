import errno
import os
import shutil
import stat
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given

from pipeline.common.errors import UserError
from pipeline.common.files import atomic, once, read_csv, read_json, write_csv, write_json, write_text
from pipeline.common.hashes import file_digest
from tests.support.values import turned, values


def close(a, b):
    if isinstance(a, float):
        return a == pytest.approx(b, rel=1e-11)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(close(a[key], b[key]) for key in a)
    return len(a) == len(b) and all(map(close, a, b)) if isinstance(a, list) else a == b


@given(values)
def test_what_is_written_is_read_back_to_12_digits(tmp_path_factory, value):
    file = tmp_path_factory.getbasetemp() / "value.json"
    write_json(file, value)
    assert close(read_json(file), value)


@given(values)
def test_equal_values_give_the_same_bytes_and_rewriting_changes_none(tmp_path_factory, value):
    file = tmp_path_factory.getbasetemp() / "value.json"
    write_json(file, value)
    first = file.read_bytes()
    write_json(file, turned(read_json(file)))
    assert file.read_bytes() == first
    assert first.endswith(b"\n")


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    file = tmp_path / "deep" / "value.txt"
    write_text(file, "old")
    with pytest.raises(ZeroDivisionError), atomic(file) as temporary:
        divmod(temporary.write_text("new"), 0)
    assert file.read_text() == "old"
    assert list(file.parent.iterdir()) == [file]


def test_two_writers_of_one_file_do_not_meet_whatever_their_host_and_pid(tmp_path):
    file = tmp_path / "value.txt"
    with atomic(file) as first, atomic(file) as second:
        first.write_text("first")
        second.write_text("second")
    assert file.read_text() == "first"  # the last to end
    assert list(tmp_path.iterdir()) == [file]


def test_what_a_file_holds_is_on_the_disk_before_it_has_its_name_and_the_name_after(tmp_path, monkeypatch):
    file, done = tmp_path / "value.json", []

    def note(what, call):
        def noting(*args):
            done.append(what(*args))
            return call(*args)

        return noting

    monkeypatch.setattr(os, "fsync", note(lambda descriptor: os.fstat(descriptor).st_ino, os.fsync))
    monkeypatch.setattr(os, "replace", note(lambda *paths: "replace", os.replace))
    write_json(file, 1)
    assert done == [file.stat().st_ino, "replace", tmp_path.stat().st_ino]


def test_a_folder_that_cannot_be_synced_does_not_matter(tmp_path, monkeypatch):
    def refuse(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "fsync", refuse)
    write_text(tmp_path / "value", "text")
    assert (tmp_path / "value").read_text() == "text"


def test_a_disk_that_fails_when_it_has_to_keep_its_word_is_explained(tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    write_text(tmp_path / "value", "old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UserError, match="value: cannot be written: Input/output error"):
        write_text(tmp_path / "value", "new")
    assert (tmp_path / "value").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["value"]


def test_a_value_that_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        write_json(tmp_path / "value.json", {"a": object()})
    assert list(tmp_path.iterdir()) == []


def test_a_full_or_forbidden_disk_is_explained(tmp_path):
    with pytest.raises(UserError, match="value: cannot be written: No space left"), atomic(tmp_path / "value"):
        raise OSError(28, "No space left on device")


def copy_to_full_disk(source, path):
    with atomic(path) as temporary:
        temporary.symlink_to("/dev/full")
        shutil.copyfile(source, temporary)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_copy_to_a_full_disk_is_explained(tmp_path):
    (tmp_path / "source").write_text("text")
    with pytest.raises(UserError, match="copy: cannot be written: No space left"):
        copy_to_full_disk(tmp_path / "source", tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_what_cannot_be_read_is_not_called_unwritable(tmp_path):
    with pytest.raises(FileNotFoundError, match="source"), atomic(tmp_path / "copy") as target:
        shutil.copyfile(tmp_path / "source", target)
    with pytest.raises(FileNotFoundError, match="source"), atomic(tmp_path / "copy") as target:
        target.write_bytes((tmp_path / "source").read_bytes())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_place_of_a_file_is_explained(tmp_path):
    (tmp_path / "value").mkdir()
    with pytest.raises(UserError, match="value: cannot be written"):
        write_text(tmp_path / "value", "")
    assert [path.name for path in tmp_path.iterdir()] == ["value"]


def test_a_file_in_the_place_of_a_folder_is_explained(tmp_path):
    (tmp_path / "results").write_text("")
    with pytest.raises(UserError, match="results"):
        write_text(tmp_path / "results" / "value", "")


@pytest.mark.parametrize(("text", "said"), [(None, "dvc repro"), ("{", "not valid JSON"), ("\ufffe", "not valid JSON")])
def test_a_file_that_cannot_be_read_is_named_with_what_to_do(tmp_path, text, said):
    file = tmp_path / "value.json"
    if text is not None:
        file.write_bytes(text.encode("utf-16"))
    with pytest.raises(UserError, match=said) as caught:
        read_json(file)
    assert str(file) in str(caught.value)


def test_work_is_done_once(tmp_path):
    calls = []
    for _ in range(3):
        assert once(tmp_path / "unit.json", lambda: calls.append(1) or {"x": 0.1}) == {"x": 0.1}
    assert calls == [1]


def test_work_that_fails_is_not_taken_for_done(tmp_path):
    with pytest.raises(ZeroDivisionError):
        once(tmp_path / "unit.json", lambda: 1 / 0)
    assert once(tmp_path / "unit.json", lambda: 2) == 2


def test_tables_are_written_the_same_to_the_byte_and_read_back(tmp_path):
    table = pd.DataFrame({"name": ["a,b", "ü"], "value": [1 / 3, 2e-9]})
    write_csv(tmp_path / "a.csv", table)
    write_csv(tmp_path / "b.csv", pd.read_csv(tmp_path / "a.csv"))
    assert file_digest(tmp_path / "a.csv") == file_digest(tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == 'name,value\n"a,b",0.333333333333\nü,2e-09\n'.encode()


def test_a_table_that_is_missing_or_damaged_is_named(tmp_path):
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n1,2,3,4\n")
    with pytest.raises(UserError, match=r"none\.csv: no such file; run the stage that makes it"):
        read_csv(tmp_path / "none.csv")
    for name in ("empty", "ragged"):
        with pytest.raises(UserError, match=rf"{name}\.csv: not a valid table"):
            read_csv(tmp_path / f"{name}.csv")
    (tmp_path / "ids.csv").write_text("id,x\n007,1\n")
    assert read_csv(tmp_path / "ids.csv", {"id": str})["id"].tolist() == ["007"]
