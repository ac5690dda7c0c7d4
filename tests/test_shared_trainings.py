"""The pipeline where two processes share each training: to the end, and whatever is killed."""

from random import Random

import pytest

from pipeline.verdict.schema import Verdict
from tests.support.killing import measure, storm
from tests.support.sites import Site
from tests.test_pipeline import Clone

pytestmark = pytest.mark.slow
KILLS = 8


def shared(params):
    params["runtime"]["devices"] = 2
    return params


def few(params):
    for name in params["enabled"]:
        params["strategies"][name]["trials"] = 4
    params["train"]["seeds"] = [1, 2, 3]
    return shared(params)


def test_the_small_pipeline_runs_to_its_end_and_then_has_nothing_to_do(tmp_path):
    clone = Clone(tmp_path)
    clone.edit(shared)
    stages, _ = clone.repro()
    assert {"tune@finetune", "train@scratch", "compare", "register"} <= set(stages)
    assert Verdict.load(clone.root / "results" / "verdict.json").unconstrained.answers.use
    assert set(clone.runs().values()) == {"FINISHED"}
    assert clone.repro()[0] == []


def test_stages_killed_again_and_again_leave_no_process_and_end_with_the_same_bytes(tmp_path):
    undisturbed = Site.make(tmp_path / "undisturbed", few)
    spans = measure(undisturbed, [("tune", "scratch"), ("train", "scratch")])
    site = undisturbed.copy(tmp_path / "site")
    kills = list(storm(site, spans, KILLS, Random(0)))
    assert {kill.victim for kill in kills} == {"coordinator", "worker"}
    assert site.results() == {name: data for name, data in undisturbed.results().items() if "results/data" not in name}
    assert site.models() == undisturbed.models()
    assert site.runs() == undisturbed.runs()
    assert list(site.trials().values()) == list(undisturbed.trials().values())
