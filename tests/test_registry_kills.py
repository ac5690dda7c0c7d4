"""A champion that is changed by processes that get killed: it is the old one or the new one, and a rerun finishes."""

from random import Random

import pytest

from tests.support.registry_kills import Undisturbed, kill_once, scenes

pytestmark = pytest.mark.slow

KILLS = 3  # of each scene; `python -m benchmarks.registry_kills` does more


def test_wherever_it_is_killed_the_registry_is_as_before_or_as_after_and_a_rerun_finishes(tmp_path):
    random, kills = Random(0), []
    for number, scene in enumerate(scenes(tmp_path / "site")):
        folder = tmp_path / f"scene-{number}"
        expected = Undisturbed.of(scene, folder)
        assert expected.before["aliases"].get("champion") != expected.after["aliases"]["champion"]
        assert expected.writes >= 3
        landed = 0
        while landed < KILLS:
            kill = kill_once(scene, expected, folder, random)
            if kill:
                landed += 1
                kills.append(kill)
    assert [kill for kill in kills if kill.state not in ("before", "after") or kill.rerun != "after"] == []
