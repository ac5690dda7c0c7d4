import os
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data.checked import Checked, stamp

LONG_AGO = 10**18  # ns: in 2001


@pytest.fixture(autouse=True)
def _nothing_is_fresh(monkeypatch):
    """Let files that a test has just written count as old."""
    monkeypatch.setattr("pipeline.data.checked._FRESH", -(10**18))


def remembered(file, path, now, meaning="m"):
    with Checked(file, meaning) as checked:
        return checked.get(path, now)


def remember(file, path, then, value, meaning="m"):
    with Checked(file, meaning) as checked:
        checked.put(path, then, value)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")), max_size=5))
def test_what_was_put_is_got_as_long_as_the_stamp_is_the_same(tmp_path_factory, values):
    file, then = tmp_path_factory.mktemp("checked") / "x.sqlite", (1, 2, 3, 4)
    for path, value in values.items():
        remember(file, path, then, value)
    for path, value in values.items():
        assert remembered(file, path, then) == value
        for place in range(4):
            assert remembered(file, path, tuple(n + (place == i) for i, n in enumerate(then))) is None
    assert remembered(file, "never put" * 9, then) is None


def test_names_of_any_bytes_can_be_remembered(tmp_path):
    remember(tmp_path / "x", "caf\udce9\0\n", (1, 2, 3, 4), "v")
    assert remembered(tmp_path / "x", "caf\udce9\0\n", (1, 2, 3, 4)) == "v"


def test_with_another_meaning_nothing_is_remembered_any_more(tmp_path):
    remember(tmp_path / "x", "p", (1, 2, 3, 4), "v")
    assert remembered(tmp_path / "x", "p", (1, 2, 3, 4), "other") is None
    assert remembered(tmp_path / "x", "p", (1, 2, 3, 4)) is None


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough to be one" * 50, b"SQLite format 3\0" * 99]
)
def test_a_damaged_file_is_begun_anew(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    remember(tmp_path / "x", "p", (1, 2, 3, 4), "v")
    assert remembered(tmp_path / "x", "p", (1, 2, 3, 4)) == "v"


def test_without_a_place_for_it_nothing_is_remembered_and_nothing_fails(tmp_path):
    (tmp_path / "file").write_text("")
    remember(tmp_path / "file" / "x", "p", (1, 2, 3, 4), "v")
    assert remembered(tmp_path / "file" / "x", "p", (1, 2, 3, 4)) is None


def test_a_file_that_another_process_holds_is_left_alone(tmp_path, monkeypatch):
    connect = sqlite3.connect
    monkeypatch.setattr("sqlite3.connect", lambda file, timeout: connect(file, timeout=0))
    remember(tmp_path / "x", "p", (1, 2, 3, 4), "v")
    other = connect(tmp_path / "x", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert remembered(tmp_path / "x", "p", (1, 2, 3, 4)) is None
    other.close()
    assert remembered(tmp_path / "x", "p", (1, 2, 3, 4)) == "v"


def test_what_is_put_is_kept_though_the_process_is_killed(tmp_path):
    if (child := os.fork()) == 0:
        checked = Checked(tmp_path / "x", "m").__enter__()
        for number in range(600):
            checked.put(str(number), (1, 2, 3, 4), "v")
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    assert remembered(tmp_path / "x", "499", (1, 2, 3, 4)) == "v"


def write(file, data):
    file.write_bytes(data)


def touch_back(file, data):
    """Write, and set the times back to what they were, as `cp -p` does."""
    before = file.stat()
    file.write_bytes(data)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(file, data):
    file.with_name("new").write_bytes(data)
    os.replace(file.with_name("new"), file)


@settings(max_examples=20)
@given(st.binary(max_size=3), st.binary(max_size=3), st.sampled_from([write, touch_back, replace]))
def test_a_file_that_is_changed_in_any_way_has_another_stamp(tmp_path_factory, before, after, change):
    file = tmp_path_factory.mktemp("stamp") / "x"
    file.write_bytes(before)
    then = stamp(str(file))
    while os.stat(file).st_ctime_ns == then[2]:  # the clock of files has ticks of some ms
        change(file, after)
    assert stamp(str(file)) != then


def test_a_file_that_has_just_been_changed_has_no_stamp(tmp_path, monkeypatch):
    file = tmp_path / "x"
    file.write_bytes(b"")
    assert stamp(str(file)) == stamp(str(file)) is not None
    monkeypatch.setattr("pipeline.data.checked._FRESH", 2 * 10**9)
    assert stamp(str(file)) is None


@pytest.mark.parametrize("name", ["", "none", "a\0b", "\ud800"])
def test_what_is_no_file_has_no_stamp(tmp_path, name):
    assert stamp(str(tmp_path / name)) is None
