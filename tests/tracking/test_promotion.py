import multiprocessing
import os
from dataclasses import replace
from pathlib import Path

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before mlflow loads: tests are offline

import pytest

from pipeline.common.errors import UserError
from pipeline.tracking.promotion import PREFIX, DisplacedError, Entry, Promotions, _lock
from pipeline.tracking.registry import CHAMPION, Registry


@pytest.fixture
def registry(tracking_uri, tmp_path):
    """A registry of four versions, without a champion."""
    made = Registry(tmp_path, "tiny")
    for _ in range(4):
        made.client.create_model_version("tiny", f"file://{tmp_path}")
    return made


@pytest.fixture
def promotions(registry):
    return Promotions(registry)


def promoted(version, before, **other):
    return Entry("promoted", version, before, "better", **other)


def back(version, before):
    return Entry("rolled back", version, before, "by hand")


def lines(promotions):
    return [(entry.action, entry.version, entry.before) for entry in promotions.history()]


def test_a_move_is_recorded_once_with_its_numbers_time_and_author(registry, promotions):
    assert promotions.record(promoted(1, None))
    assert promotions.record(promoted(2, 1, numbers={"gain": 0.01}))
    assert not promotions.record(promoted(2, 1))
    assert registry.aliases() == {"champion": 2}
    assert lines(promotions) == [("promoted", 1, None), ("promoted", 2, 1)]
    entry = promotions.promoted(2)
    assert (entry.numbers, entry.said, entry.done) == ({"gain": 0.01}, "better", True)
    assert entry.at
    assert entry.by
    assert promotions.promoted(3) is None


def test_what_is_refused_is_recorded_once_until_something_differs(promotions, registry):
    refused = Entry("refused", 3, None, "worse")
    assert [promotions.record(refused), promotions.record(refused)] == [True, False]
    assert promotions.record(replace(refused, said="much worse"))
    assert len(lines(promotions)) == 2
    assert registry.aliases() == {}


def test_whoever_decided_about_another_champion_is_told_and_changes_nothing(promotions, registry):
    promotions.record(promoted(1, None))
    promotions.record(promoted(2, 1))
    with pytest.raises(DisplacedError, match="version 3 was to follow version 1, but by now version 2 is champion"):
        promotions.record(promoted(3, 1))
    assert registry.aliases() == {"champion": 2}
    assert len(lines(promotions)) == 2


def test_rolling_back_twice_goes_back_two_versions(promotions):
    assert promotions.previous() is None
    for version, before in ((1, None), (2, 1), (3, 2)):
        promotions.record(promoted(version, before))
    assert promotions.previous() == 2
    promotions.record(back(2, 3))
    assert promotions.was_taken_back(3)
    assert not promotions.was_taken_back(2)
    assert promotions.previous() == 1
    promotions.record(promoted(4, 2))
    assert promotions.previous() == 2
    assert promotions.was_taken_back(3)
    promotions.record(promoted(3, 4))
    assert not promotions.was_taken_back(3)
    assert promotions.previous() == 4


def test_a_champion_that_somebody_set_by_hand_can_be_gone_back_to_and_from(promotions, registry):
    registry.point(CHAMPION, 1)
    promotions.record(promoted(2, 1))
    assert promotions.previous() == 1
    registry.point(CHAMPION, 4)
    assert promotions.previous() == 2


class CutOffError(Exception):
    pass


@pytest.fixture
def cut_off(registry, monkeypatch):
    """A function that ends a move before its so-manieth write, as a kill would."""

    def call(wanted, write):
        with monkeypatch.context() as patch:
            for name in ("set_registered_model_tag", "set_registered_model_alias"):
                real = getattr(registry.client, name)

                def counted(*args, real=real):
                    nonlocal write
                    write -= 1
                    if write < 0:
                        raise CutOffError
                    return real(*args)

                patch.setattr(registry.client, name, counted)
            with pytest.raises(CutOffError):
                Promotions(registry).record(wanted)

    return call


@pytest.mark.parametrize("write", [0, 1, 2])
def test_wherever_a_move_is_cut_off_it_happened_or_not_and_a_rerun_finishes_it(write, promotions, registry, cut_off):
    promotions.record(promoted(1, None))
    before = [("promoted", 1, None)]
    after = [*before, ("promoted", 2, 1)]
    cut_off(promoted(2, 1), write)
    happened = write == 2
    assert registry.aliases() == {"champion": 2 if happened else 1}
    assert lines(promotions) == (after if happened else before)
    assert promotions.record(promoted(2, 1)) is not happened
    assert lines(promotions) == after
    assert registry.aliases() == {"champion": 2}
    tags = registry.client.get_registered_model("tiny").tags
    assert len([key for key in tags if key.startswith(PREFIX)]) == 2
    assert all('"done": true' in value for key, value in tags.items() if key.startswith(PREFIX))


def test_finishing_tells_which_move_had_been_left_open(promotions, cut_off):
    promotions.record(promoted(1, None))
    cut_off(promoted(2, 1), 1)
    assert promotions.finish() is None
    cut_off(promoted(2, 1), 2)
    assert promotions.finish().version == 2
    assert promotions.finish() is None


def race(root, version, start, told):
    promotions = Promotions(Registry(root, "tiny"))
    start.wait()
    try:
        promotions.record(promoted(version, 1))
        told.put((version, "won"))
    except DisplacedError as error:
        told.put((version, str(error)))


def test_of_two_that_race_one_wins_and_the_other_is_told(promotions, registry, tmp_path):
    promotions.record(promoted(1, None))
    spawned = multiprocessing.get_context("spawn")
    start, told = spawned.Barrier(2), spawned.Queue()
    racers = [spawned.Process(target=race, args=(tmp_path, version, start, told)) for version in (2, 3)]
    for racer in racers:
        racer.start()
    said = dict(told.get(timeout=300) for _ in racers)
    for racer in racers:
        racer.join()
    (winner,) = [version for version, word in said.items() if word == "won"]
    assert registry.aliases() == {"champion": winner}
    assert lines(promotions) == [("promoted", 1, None), ("promoted", winner, 1)]
    losers = [word for version, word in said.items() if version != winner]
    assert all(f"by now version {winner} is champion: another process was quicker" in word for word in losers)


def test_where_the_lock_is_not_heeded_whoever_reads_another_champion_is_told(promotions, registry, monkeypatch):
    point = registry.point

    def overtaken(alias, number):
        point(alias, number)
        point(alias, 4)

    monkeypatch.setattr(registry, "point", overtaken)
    with pytest.raises(DisplacedError, match="was made champion, but another process has put version 4 in its place"):
        promotions.record(promoted(1, None))


def test_a_long_reason_is_cut(promotions):
    promotions.record(Entry("refused", 1, None, "why " * 5000))
    assert 100 < len(promotions.history()[0].said) < 5000


def test_a_lock_that_cannot_be_written_is_told(promotions, monkeypatch):
    monkeypatch.setattr("pipeline.tracking.promotion._lock", lambda _: Path("/proc/none/lock"))
    with pytest.raises(UserError, match="/proc/none/lock: cannot be written"):
        promotions.history()


def test_the_lock_lies_beside_a_database_in_a_file_and_in_the_work_folder_for_a_server(registry, tmp_path):
    assert _lock(registry) == tmp_path / "mlflow.db.promotions.lock"
    registry.uri = "sqlite:///mlflow.db"
    assert _lock(registry) == Path("mlflow.db.promotions.lock")
    registry.uri = "https://mlflow.example"
    assert _lock(registry) == tmp_path / ".headstart/promotions.lock"
