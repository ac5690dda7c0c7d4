import shutil
from dataclasses import replace

import pytest

from pipeline.common.errors import UserError
from pipeline.config.params import Runtime
from pipeline.config.recipe import Recipe
from pipeline.tracking import served_scores
from pipeline.tracking.gate import Challenger, judge, tolerance
from pipeline.tracking.promotion import Promotions
from pipeline.tracking.registry import CHAMPION
from tests.support.second_project import RULES


@pytest.fixture
def challenge(project, add):
    """A function that registers a network, asks the gate, and does as it says; it returns the judgement."""

    def run(name):
        version, registry = add(name), project.registry()
        champion = registry.champion()
        folder = project.root / "models" / name
        judgement = judge(registry, project.challenger(folder, version), champion, project.images, RULES)
        Promotions(registry).record(judgement.entry(version, champion, dry_run=False))
        return judgement

    return run


def test_a_better_a_worse_and_an_equal_model_go_through_the_gate_and_each_outcome_is_right(project, challenge):
    first = challenge("poor")
    assert (first.passed, first.compared, project.registry().champion().strategy) == (True, None, "poor")
    better = challenge("good")
    assert better.passed
    assert better.compared.gain > 0.2
    assert "accuracy is" in better.said
    assert project.registry().champion().strategy == "good"
    worse = challenge("worse")
    assert not worse.passed
    assert worse.compared.worst < worse.compared.gain < -0.2
    assert worse.against.endswith("than that of version 2; register.margin allows 2.0 points at most")
    assert project.registry().champion().strategy == "good"
    equal = challenge("equal")
    assert equal.passed
    assert equal.compared.worst >= -RULES.margin
    assert project.registry().champion().strategy == "equal"
    actions = [(e.action, e.version, e.before) for e in Promotions(project.registry()).history()]
    assert actions == [("promoted", 1, None), ("promoted", 2, 1), ("refused", 3, 2), ("promoted", 4, 2)]


def test_what_is_served_must_be_what_was_evaluated(project, add):
    version, folder = add("good"), project.root / "models" / "good"
    asked = project.challenger(folder, version)
    other = replace(asked, evaluated=asked.evaluated + 0.001)
    said = judge(project.registry(), other, None, project.images, RULES).against
    assert said.startswith("loaded in a clean process, version 1 gives other probabilities than those")
    assert "by up to 0.001" in said
    assert judge(project.registry(), replace(other, tolerance=5e-3), None, project.images, RULES).passed
    with pytest.raises(UserError, match="are of other test images"):
        judge(project.registry(), replace(asked, evaluated=asked.evaluated[1:]), None, project.images, RULES)


def test_a_model_that_does_not_load_is_refused(project, add):
    version = add("good")
    for file in (project.root / "mlartifacts").rglob("model.safetensors"):
        file.write_bytes(b"junk")
    asked = project.challenger(project.root / "models" / "good", version)
    said = judge(project.registry(), asked, None, project.images, RULES).against
    assert said.startswith("models:/tiny/1 gives no answer: ")
    assert "Traceback" not in said


def test_records_decide_before_anything_is_asked(project, add, monkeypatch):
    monkeypatch.setattr(served_scores, "served", None)
    version = add("good")

    def against(**facts):
        known = {"version": version, "gain": 0.4, "admissible": True, "tolerance": 0, **facts}
        return judge(project.registry(), Challenger(**known), None, project.images, RULES).against

    assert "good is 1.0 points above always predicting the largest class; register.min_gain" in against(gain=0.01)
    assert "good does not meet the constraints" in against(admissible=False)
    assert "version 1 was champion and was rolled back" in against(taken_back=True)
    assert "uv run headstart registry promote 1 --force" in against(gain=None)
    assert "uv run headstart registry promote 1 --force" in against(admissible=None)


def test_a_champion_that_was_tested_on_other_images_is_asked_anew_once(project, add):
    champion, version = add("good"), add("equal")
    project.registry().point(CHAMPION, champion.version)
    images = replace(project.images, digest="another")
    asked = project.challenger(project.root / "models" / "equal", version)
    assert served_scores.kept(project.registry(), champion, "another") is None
    assert judge(project.registry(), asked, champion, images, RULES).passed
    found = served_scores.kept(project.registry(), champion, "another")
    expected = project.evaluated(project.root / "models" / "good")
    assert served_scores.largest_gap(found.loc[expected.index], expected) < 1e-6


def test_a_champion_with_other_classes_cannot_be_compared_and_what_to_do_is_said(project, add):
    folder = project.train("other", 5, 0, ("low", "middle", "top"))
    champion, version = add("other"), add("good")
    project.registry().point(CHAMPION, champion.version)
    asked = project.challenger(project.root / "models" / "good", version)
    said = judge(project.registry(), asked, champion, project.images, RULES).against
    shutil.rmtree(folder)
    assert "version 1, the champion, tells apart low, middle, top, and version 2 low, top" in said
    assert said.endswith("uv run headstart registry promote 2 --force")


def test_what_was_rounded_on_the_way_may_differ_more():
    def allowed(cut, device="cpu", precision="auto"):
        recipe = Recipe.model_construct(cut=cut)
        return tolerance(recipe, Runtime(threads=1, device=device, precision=precision))

    assert allowed("head") == allowed("input", precision="float32") == 1e-4
    assert (
        1e-4
        < allowed(3)
        == allowed("middle")
        < allowed(3, "cuda")
        == allowed("head", "auto")
        == allowed("head", precision="bf16")
    )
