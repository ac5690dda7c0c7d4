import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.common.errors import UserError
from pipeline.data import scan
from pipeline.data.image_facts import ImageFacts, examine
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
        sound = [(row, each) for row, each in enumerate(found) if isinstance(each, ImageFacts)]
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


def test_progress_gets_a_step_for_every_file(folder):
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


def test_a_full_disk_is_reported_as_such(folder, tmp_path):
    plan = Plan(folder[0], 8, 10**6, Path("/dev/full"))
    with pytest.raises(UserError, match="/dev/full: cannot be written: No space left on device"):
        told(plan, folder[1])


def test_huge_images_are_refused_by_our_limit_alone_and_nobody_is_warned(tmp_path, recwarn):
    bits = Image.new("1", (20_000, 10_000))
    bits.paste(1, (0, 0, 10_000, 10_000))
    (tmp_path / "huge.png").write_bytes(saved(bits))
    limits = {10**6: "its pixels are over the limit of 1000000", 150_000_000: "20000x10000 pixels are over the limit"}
    for limit, said in limits.items():
        (found,) = told(Plan(tmp_path, 8, limit), ["huge.png"])
        assert said in found
    (found,) = told(Plan(tmp_path, 8, 2 * 10**8), ["huge.png"])
    assert found[1:4] == (20_000, 10_000, True)
    assert not recwarn.list


def test_a_process_that_dies_is_reported_with_what_to_do(folder, monkeypatch):
    monkeypatch.setattr(scan, "_read_some", die)
    over = r"reading one of \d+ files, \d+\.png to \d+\.png"
    with pytest.raises(UserError, match=rf"exit code -9.*{over}\. Lower prepare\.workers"):
        told(Plan(folder[0], 8, 10**6), folder[1], workers=2)


def test_a_path_that_is_fine_in_one_folder_may_lead_out_of_another(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "a.png").write_bytes(saved(smooth()))
    (tmp_path / "in" / "link.png").symlink_to("../a.png")
    assert isinstance(told(Plan(tmp_path, 8, 10**6), ["in/link.png"])[0], ImageFacts)
    assert told(Plan(tmp_path / "in", 8, 10**6), ["link.png"]) == ["leads out of the data folder"]


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
