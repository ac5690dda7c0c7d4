import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.common.errors import UserError
from pipeline.data import scan
from pipeline.data.checked import Checked
from pipeline.data.facts import Facts, examine
from pipeline.data.scan import Plan, Squares, read
from tests.common.test_process_pool import running
from tests.support.imports import ROOT
from tests.support.pictures import die, saved, smooth


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """130 images, of which some are in colour and two cannot be used; their paths in an order of no kind."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for number in range(130):
        shape = (9, 7, 3) if number % 3 else (9, 7)
        (root / f"{number}.png").write_bytes(saved(rng.integers(0, 256, shape, dtype=np.uint8)))
    (root / "7.png").write_bytes(b"")
    (root / "99.png").write_bytes((root / "98.png").read_bytes()[:-60])
    return root, [f"{n}.png" for n in rng.permutation(130)]


def told(plan, paths, **how):
    return list(read(plan, paths, lambda count: None, **how))


def squares_of(folder, tmp_path, workers):
    """Return what is known, and all squares that were put down."""
    root, paths = folder
    plan = Plan(root, 8, 10**6, tmp_path / "squares")
    with Squares(plan) as squares:
        found = told(plan, paths, workers=workers)
        sound = [(row, each) for row, each in enumerate(found) if isinstance(each, Facts)]
        return found, {row: squares.take(row, each.grey, 3).copy() for row, each in sound}


def test_facts_and_squares_are_those_of_each_file_whoever_read_it(folder, tmp_path):
    root, paths = folder
    (alone, here), (spread, there) = (squares_of(folder, tmp_path, workers) for workers in (1, 3))
    assert alone == spread
    assert alone[paths.index("7.png")] == "the file is empty"
    assert alone[paths.index("99.png")].startswith("not a readable image")
    assert here.keys() == there.keys()
    assert len(here) == 128
    for row, pixels in here.items():
        facts, square = examine((root / paths[row]).read_bytes(), paths[row], 8, 10**6)
        assert alone[row] == facts
        assert np.array_equal(pixels, np.broadcast_to(square, (8, 8, 3)))
        assert np.array_equal(pixels, there[row])
    assert list(tmp_path.iterdir()) == []


def test_progress_is_told_of_every_file(folder):
    seen = []
    list(read(Plan(folder[0], 8, 10**6), folder[1], seen.append))
    assert seen == [1] * 130


def test_squares_leave_nothing_behind_and_what_a_kill_left_is_removed(tmp_path):
    plan = Plan(tmp_path, 8, 10**6, tmp_path / "squares")
    (tmp_path / "squares").write_text("left")
    with suppress(ZeroDivisionError), Squares(plan):
        assert (tmp_path / "squares").read_text() == ""
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/squares: cannot be written: .*free space"), \
            Squares(Plan(tmp_path, 8, 10**6, tmp_path / "file" / "squares")):  # fmt: skip
        pass


def test_a_full_disk_is_told_as_such(folder, tmp_path):
    plan = Plan(folder[0], 8, 10**6, Path("/dev/full"))
    with pytest.raises(UserError, match="/dev/full: cannot be written: No space left on device"):
        told(plan, folder[1])


def test_huge_images_are_refused_by_our_limit_alone_and_nobody_is_warned(tmp_path, recwarn):
    bits = Image.new("1", (20_000, 10_000))
    (tmp_path / "huge.png").write_bytes(saved(bits))
    limits = {10**6: "its pixels are over the limit of 1000000", 150_000_000: "20000x10000 pixels are over the limit"}
    for limit, said in limits.items():
        (found,) = told(Plan(tmp_path, 8, limit), ["huge.png"])
        assert said in found
    (found,) = told(Plan(tmp_path, 8, 2 * 10**8), ["huge.png"])
    assert found[1:4] == (20_000, 10_000, True)
    assert not recwarn.list


def test_a_process_that_dies_is_told_with_what_to_do(folder, monkeypatch):
    monkeypatch.setattr(scan, "_read_some", die)
    over = r"reading one of \d+ files, \d+\.png to \d+\.png"
    with pytest.raises(UserError, match=rf"exit code -9.*{over}\. Lower prepare\.workers"):
        told(Plan(folder[0], 8, 10**6), folder[1], workers=2)


# What is remembered


@pytest.fixture
def counted(monkeypatch):
    """How often each file was read in this process; files that were just written count as old."""
    monkeypatch.setattr("pipeline.data.checked._FRESH", -(10**18))
    counts = {}

    def count(read_one, row, path, *rest):
        counts[path] = counts.get(path, 0) + 1
        return read_one(row, path, *rest)

    monkeypatch.setattr(scan, "_read_one", partial(count, scan._read_one))
    return counts


def again(root, paths, base, **changes):
    plan = Plan(**{"root": root, "size": 8, "max_pixels": 10**6, **changes})
    with Checked(base, plan.meaning) as checked:
        return told(plan, paths, checked=checked)


def test_unchanged_files_are_not_read_again_and_what_is_said_of_them_is_the_same(folder, tmp_path, counted):
    first = again(*folder, tmp_path / "x")
    assert again(*folder, tmp_path / "x") == first
    assert again(folder[0], folder[1][::-1], tmp_path / "x") == first[::-1]
    assert set(counted.values()) == {1}
    assert len(counted) == 130


@pytest.mark.parametrize("change", [{"size": 9}, {"max_pixels": 10}])
def test_all_is_read_again_for_another(folder, tmp_path, counted, change):
    again(*folder, tmp_path / "x")
    again(*folder, tmp_path / "x", **change)
    assert set(counted.values()) == {2}


def test_a_path_that_is_fine_in_one_folder_may_lead_out_of_another(tmp_path, counted):
    (tmp_path / "in").mkdir()
    (tmp_path / "a.png").write_bytes(saved(smooth()))
    (tmp_path / "in" / "link.png").symlink_to("../a.png")
    assert isinstance(again(tmp_path, ["in/link.png"], tmp_path / "x")[0], Facts)
    assert again(tmp_path / "in", ["link.png"], tmp_path / "x") == ["leads out of the data folder"]


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 255)), min_size=1, max_size=12))
def test_what_is_remembered_is_never_older_than_the_file(tmp_path_factory, changes):
    root = tmp_path_factory.mktemp("changing")
    for number in range(5):
        (root / f"{number}.bmp").write_bytes(saved(np.zeros((4, 4), np.uint8), "BMP"))
    paths = [f"{number}.bmp" for number in range(5)]
    for number, level in changes:  # all of one size; times as fast as they come
        (root / f"{number}.bmp").write_bytes(saved(np.full((4, 4), level, np.uint8), "BMP"))
        assert again(root, paths, root / "x") == told(Plan(root, 8, 10**6), paths)


def test_rows_of_an_array_are_remembered_until_the_array_changes(tmp_path, counted):
    np.save(tmp_path / "images.npy", np.zeros((3, 4, 4), np.uint8))
    paths = [f"images.npy/000000{n}" for n in range(3)]
    before = again(tmp_path, paths, tmp_path / "x")
    assert again(tmp_path, paths, tmp_path / "x") == before
    assert set(counted.values()) == {1}
    time.sleep(0.01)
    np.save(tmp_path / "images.npy", np.ones((3, 4, 4), np.uint8))
    assert [each.id for each in again(tmp_path, paths, tmp_path / "x")] != [each.id for each in before]


def test_pixels_are_decoded_though_facts_are_remembered(folder, tmp_path, counted):
    again(*folder, tmp_path / "x")
    plan = Plan(folder[0], 8, 10**6, tmp_path / "squares")
    with Squares(plan), Checked(tmp_path / "x", plan.meaning) as checked:
        told(plan, folder[1], checked=checked)
    assert set(counted.values()) == {2}


# Ends that come early

SLOW = """
import sys, time
from pathlib import Path
from pipeline.common.entry_point import handle_user_errors
from pipeline.data import scan

def slow(job, reader, report):
    print("reading", flush=True)
    time.sleep(600)

@handle_user_errors
def main(argv=None):
    scan._read_some = slow
    plan = scan.Plan(Path(sys.argv[1]), 8, 10**6, Path(sys.argv[2]))
    with scan.Squares(plan):
        list(scan.read(plan, [f"{n}.png" for n in range(130)], lambda count: None, 2))

if __name__ == "__main__":
    sys.exit(main())
"""


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_an_end_that_comes_early_leaves_no_process(folder, tmp_path, sent, code):
    (tmp_path / "slow.py").write_text(SLOW)
    command = [sys.executable, str(tmp_path / "slow.py"), str(folder[0]), str(tmp_path / "squares")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}) as started:
        for _ in range(2):
            assert started.stdout.readline() == b"reading\n"
        children = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
        begun = time.monotonic()
        started.send_signal(sent)
        assert started.wait(5) == code
        while any(running(pid) for pid in children):
            assert time.monotonic() - begun < 5
            time.sleep(0.05)
    assert (tmp_path / "squares").exists() == (sent == signal.SIGKILL)  # the next run's first act is to remove it


def test_the_processes_that_read_load_nothing_heavy():
    code = "import sys, pipeline.data.scan; print({'torch', 'pandas', 'sklearn', 'pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "set()\n"


def test_a_folder_may_be_gone_when_it_is_read(folder, tmp_path):
    copy = shutil.copytree(folder[0], tmp_path / "copy")
    shutil.rmtree(copy)
    assert set(told(Plan(copy, 8, 10**6), folder[1][:3])) == {"No such file or directory"}
