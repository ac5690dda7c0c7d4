import errno
import os
import resource
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.common.errors import UserError
from pipeline.common.files import atomic
from pipeline.common.lru_store import Store, reserve, shown
from tests.support.processes import FORK, Child


def put(store: Store, name: str, size: int, keep: tuple[Path, ...] = ()) -> Path:
    """Write a file as a pass does."""
    path = store.folder / f"{name}.npy"
    with store.claim([path]), store.room(size, {path, *keep}), atomic(path) as temporary:
        temporary.write_bytes(bytes(size))
    store.touch(path)
    return path


def names(store: Store) -> list[str]:
    return [entry.path.stem for entry in store.entries()]


def total(store: Store) -> int:
    return sum(entry.size for entry in store.entries())


def test_the_least_recently_used_makes_room(tmp_path):
    store = Store(tmp_path, 30)
    first, second, third = (put(store, name, 10) for name in ("c", "b", "a"))
    store.touch(first)
    assert names(store) == ["b", "a", "c"]
    put(store, "d", 10)
    assert names(store) == ["a", "c", "d"]
    put(store, "e", 15)
    assert names(store) == ["d", "e"]
    assert not any(path.exists() for path in (first, second, third))


def test_what_is_to_be_kept_is_not_evicted(tmp_path):
    store = Store(tmp_path, 30)
    oldest, _, _ = (put(store, name, 10) for name in ("a", "b", "c"))
    put(store, "d", 20, keep=(oldest,))
    assert names(store) == ["a", "d"]


def test_nothing_is_evicted_while_there_is_room_or_without_a_limit(tmp_path):
    for store in (Store(tmp_path / "limited", 30), Store(tmp_path / "unlimited")):
        for name in "abc":
            put(store, name, 10)
        assert names(store) == ["a", "b", "c"]


def test_a_lower_limit_holds_from_the_next_file_on(tmp_path):
    for name in "abcd":
        put(Store(tmp_path), name, 10)
    put(Store(tmp_path, 25), "e", 10)
    assert names(Store(tmp_path)) == ["d", "e"]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 40)), max_size=12))
def test_the_limit_always_holds(tmp_path_factory, puts):
    store = Store(tmp_path_factory.mktemp("store"), 40)
    for name, size in puts:
        if name not in names(store):
            put(store, name, size)
            assert name in names(store)
        assert total(store) <= 40


def test_what_could_be_had_is_the_limit_less_what_is_kept(tmp_path):
    store = Store(tmp_path, 100)
    kept, _ = put(store, "a", 30), put(store, "b", 20)
    limit, disk = store.available({kept})
    assert limit == 70
    assert disk > 70
    assert len({*Store(tmp_path).available({kept})}) == 1  # no limit but the disk


def hold(path: Path, started: object, end: object) -> str:
    store = Store(path.parent, 30)
    with store.claim([path]):
        with store.room(20, {path}):
            writing = atomic(path)
            writing.__enter__().write_bytes(bytes(20))
        started.set()
        end.wait(30)
        writing.__exit__(None, None, None)
    return "written"


@pytest.fixture
def holder(tmp_path):
    """A process that is writing `held.npy`, 20 bytes of at most 30, until it is told to end or killed."""
    started, end = FORK.Event(), FORK.Event()
    child = Child(lambda: hold(tmp_path / "held.npy", started, end))
    assert started.wait(30)
    yield child, end
    child.kill()


def test_what_another_process_writes_takes_room_until_it_is_done(tmp_path, holder):
    child, end = holder
    store = Store(tmp_path, 30)
    put(store, "small", 10)
    assert len(store.unfinished()) == 1
    waiting = threading.Thread(target=put, args=(store, "big", 25))
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive()
    assert names(store) == ["small"], "evicted in vain"
    end.set()
    assert child.result() == "written"
    waiting.join(30)
    assert names(store) == ["big"]


def test_a_file_that_is_being_written_is_waited_for_and_others_are_not(tmp_path, holder):
    child, end = holder
    store = Store(tmp_path, 30)
    with store.claim([tmp_path / "other.npy"]):
        pass
    begun, claimed = time.monotonic(), []

    def claim() -> None:
        with store.claim([tmp_path / "held.npy", tmp_path / "other.npy"]):
            claimed.append(time.monotonic() - begun)

    waiting = threading.Thread(target=claim)
    waiting.start()
    waiting.join(0.3)
    assert claimed == []
    end.set()
    waiting.join(30)
    assert child.result() == "written"
    assert claimed[0] > 0.3


def test_a_killed_process_leaves_no_lock_and_its_file_is_swept(tmp_path, holder):
    child, _ = holder
    store = Store(tmp_path, 30)
    store.sweep()
    assert len(store.unfinished()) == 1, "a file that is being written was swept"
    child.kill()
    store.sweep()
    assert store.unfinished() == []
    put(store, "held", 10)
    assert names(store) == ["held"]


def test_a_name_with_dots_is_swept_too_and_a_writer_is_known_by_its_last_part(tmp_path):
    store, path = Store(tmp_path), tmp_path / "stem.cut3.identity.00fc.npy"
    writing = atomic(path)
    with store.claim([path]):
        left = writing.__enter__()
        left.write_bytes(bytes(20))
        store.sweep()
        assert [entry.path for entry in store.unfinished()] == [left], "a file that is being written was swept"
    store.sweep()
    assert store.unfinished() == []


def test_what_a_dead_process_left_is_removed_by_who_writes_the_file_next(tmp_path, holder):
    child, _ = holder
    child.kill()
    with Store(tmp_path).claim([tmp_path / "held.npy"]):
        assert Store(tmp_path).unfinished() == []


def test_clearing_frees_all_but_what_is_being_written(tmp_path, holder):
    child, end = holder
    store = Store(tmp_path, 30)
    mapped = put(store, "a", 10).open("rb")
    assert store.clear() == 10
    assert mapped.read() == bytes(10)
    end.set()
    assert child.result() == "written"
    assert names(store) == ["held"]
    assert store.clear() == 20
    assert [path.name for path in tmp_path.rglob("*")] == [".locks"]
    assert store.clear() == 0


def test_a_folder_that_is_not_there_is_empty(tmp_path):
    store = Store(tmp_path / "none")
    assert (store.entries(), store.unfinished(), store.clear()) == ([], [], 0)
    assert not store.folder.exists()


def test_a_folder_that_cannot_be_made_is_explained(tmp_path):
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file" / "features")
    with pytest.raises(UserError, match="features: cannot be written"), store.claim([store.folder / "a.npy"]):
        pass


def test_reserved_bytes_are_on_the_disk(tmp_path):
    reserve(tmp_path / "a", b"head", 300_000)
    assert (tmp_path / "a").read_bytes() == b"head" + bytes(300_000)
    assert (tmp_path / "a").stat().st_blocks * 512 >= 300_000


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL])
def test_a_filesystem_that_cannot_reserve_is_written_to_instead(tmp_path, monkeypatch, number):
    def refuse(*args: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    test_reserved_bytes_are_on_the_disk(tmp_path)
    monkeypatch.delattr(os, "posix_fallocate")
    test_reserved_bytes_are_on_the_disk(tmp_path)


def reserve_little(path: Path, most: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    reserve(path, b"head", 300_000)


def test_a_disk_that_is_too_full_is_reported_before_anything_is_mapped(tmp_path):
    answer = Child(lambda: reserve_little(tmp_path / "a.npy", 100_000)).result()
    assert answer.startswith(f"UserError: {tmp_path}/a.npy: 300.0 kB are needed: ")
    assert "features.views" in answer
    assert Child(lambda: reserve_little(tmp_path / "a.npy", 400_000)).result() is None


@pytest.mark.parametrize(("size", "text"), [
    (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_234_567, "1.2 MB"), (999_999_999, "1.0 GB"),
    (20 * 10**9, "20.0 GB"), (5 * 10**15, "5000.0 TB"),
])  # fmt: skip
def test_sizes_are_shown_as_people_write_them(size, text):
    assert shown(size) == text


def test_who_waits_for_the_first_of_several_files_holds_none(tmp_path):
    """All take the locks in one order, whatever order they name the files in: nobody waits in a circle."""
    first, second, claimed = tmp_path / "a.npy", tmp_path / "b.npy", []

    def claim(*paths: Path) -> None:
        with Store(tmp_path).claim(paths):
            claimed.append(len(paths))

    with Store(tmp_path).claim([first]):
        both = threading.Thread(target=claim, args=(second, first))
        both.start()
        both.join(0.2)
        other = threading.Thread(target=claim, args=(second,))
        other.start()
        other.join(10)
        assert claimed == [1]
    both.join(10)
    assert claimed == [1, 2]
