"""`headstart registry` on a real registry, with tiny networks of which two are good and two are not."""

import os
import shutil

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before mlflow loads: tests are offline

import pytest

from pipeline.commands.app import main
from pipeline.tracking import by_hand, served_scores
from pipeline.tracking.promotion import Entry, Promotions
from pipeline.tracking.registry import CHALLENGER, CHAMPION


@pytest.fixture
def registered(project, add):
    """A project with all four registered, `good` in service after `poor`, and `equal` the challenger."""
    kept = project.root / "registered"  # registering takes seconds
    if not kept.exists():
        for number, name in enumerate(("poor", "good", "equal", "worse"), 1):
            assert add(name).version == number
        promotions = Promotions(project.registry())
        promotions.record(Entry("promoted", 1, None, "there was no champion"))
        promotions.record(Entry("promoted", 2, 1, "it was better", {"gain": 0.4}))
        project.registry().point(CHALLENGER, 3)
        shutil.copytree(project.root / "mlartifacts", kept)
        shutil.copy(project.root / "mlflow.db", kept)
    shutil.copy(kept / "mlflow.db", project.root)
    shutil.copytree(kept, project.root / "mlartifacts", dirs_exist_ok=True)
    return project


@pytest.fixture
def say(capsys):
    """A function that runs `headstart registry` and returns its exit code and what it printed."""

    def run(*words):
        capsys.readouterr()
        try:
            code = main(["registry", *words])
        except SystemExit as end:
            code = end.code
        return code, "".join(capsys.readouterr())

    return run


def champion(project):
    return project.registry().champion().version


def test_status_says_who_is_champion_since_when_and_from_where(registered, say):
    registered.registry().tag(registered.registry().version("2"), {"report": "run-7"})
    code, said = say("status")
    assert code == 0
    facts = dict(line.split(maxsplit=1) for line in said.partition("\n\n")[0].splitlines()[1:])
    assert said.startswith("models:/tiny@champion is version 2.\n")
    assert facts | {"since": ""} == {
        "strategy": "good", "since": "", "because": "it was better", "commit": "abc", "data": "digest",
        "report": "report.html of MLflow's run run-7",
    }  # fmt: skip
    assert " UTC, promoted by " in facts["since"]
    rows = [line.split() for line in said.partition("\n\n")[2].splitlines()]
    assert rows[0] == ["version", "strategy", "aliases", "gate"]
    assert rows[1:3] == [["4", "worse", "best-worse", "-"], ["3", "equal", "best-equal,", "challenger", "-"]]


def test_a_challenger_that_is_as_good_is_promoted_and_a_rerun_changes_nothing(registered, say):
    code, said = say("promote", "--dry-run")
    assert (code, champion(registered)) == (0, 2)
    assert said.startswith("Version 3 may become champion: on the same 40 test images its accuracy is ")
    code, said = say("promote")
    assert (code, champion(registered)) == (0, 3)
    assert said.startswith("Version 3 is champion: on the same 40 test images its accuracy is ")
    assert registered.registry().version("3").tags["gate"] == "passed"
    assert say("promote", "3") == (0, "Version 3 is champion already.\n")
    code, said = say("history")
    assert [line.split("  ")[1] for line in said.splitlines()[1:]] == ["promoted", "promoted", "dry run", "promoted"]


def test_what_the_gate_refuses_ends_with_3_and_can_be_forced(registered, say):
    code, said = say("promote", "4")
    assert (code, champion(registered)) == (3, 2)
    assert said.startswith("refused: on the same 40 test images its accuracy is ")
    assert "than that of version 2; register.margin allows 2.0 points at most." in said
    assert registered.registry().version("4").tags["gate"] == "refused"
    assert say("promote", "4", "--force") == (0, "Version 4 is champion: promoted by hand, without the gate.\n")
    assert champion(registered) == 4


def test_rollback_goes_back_and_from_makes_a_second_call_harmless(registered, say):
    assert say("rollback", "--from", "2") == (0, "Rolled back: version 1 is champion again.\n")
    assert say("rollback", "--from", "2") == (0, "Nothing to do: version 1 is champion.\n")
    assert champion(registered) == 1
    code, said = say("rollback")
    assert code == 2
    assert "tiny had no champion before" in said


def test_a_rollback_that_was_killed_before_it_was_noted_is_finished_and_not_done_again(registered, say, monkeypatch):
    promotions = Promotions(registered.registry())
    with monkeypatch.context() as patch:
        patch.setattr(promotions._registry, "point", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            promotions.record(Entry("rolled back", 1, 2, "rolled back by hand"))
    registered.registry().point(CHAMPION, 1)
    assert say("rollback") == (0, "Rolled back: version 1 is champion again.\n")
    assert champion(registered) == 1


def test_whoever_is_overtaken_ends_with_4(registered, say, monkeypatch):
    def overtaken(*_):
        Promotions(registered.registry()).record(Entry("promoted", 4, 2, "quicker"))
        return judgement

    judgement = by_hand.Judgement("", "good enough", None)
    monkeypatch.setattr(by_hand, "judge", overtaken)
    code, said = say("promote", "3")
    assert (code, champion(registered)) == (4, 4)
    assert "by now version 4 is champion: another process was quicker" in said


def test_two_versions_are_compared_on_the_test_images_and_on_any_folder(registered, say, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(served_scores, "served", None)  # what was evaluated is kept
        code, said = say("compare", "champion", "4")
    assert code == 0
    assert said.startswith(
        f"version 2 (good) and version 4 (worse), on 40 images of {registered.root / 'raw'}, paired:"
    )
    assert [line.split()[0] for line in said.splitlines()[2:7]] == ["metric", "accuracy", "balanced", "roc", "log"]
    accuracy = said.splitlines()[3].split()
    assert float(accuracy[3]) == pytest.approx(float(accuracy[1]) - float(accuracy[2]), abs=1e-4)
    assert "has a confidence of 95 %" in said
    folder = registered.root / "folder"
    for number, (path, label) in enumerate(zip(registered.images.paths, registered.images.labels)):
        (folder / label).mkdir(parents=True, exist_ok=True)
        shutil.copy(registered.root / "raw" / path, folder / label / f"{number}.png")
    code, elsewhere = say("compare", "2", "4", str(folder))
    shutil.rmtree(folder)
    assert code == 0
    assert elsewhere.splitlines()[3].split()[1:4] == accuracy[1:4]


@pytest.mark.parametrize("words", [("promote", "9"), ("compare", "9", "1"), ("promote", "best")])
def test_a_version_that_is_not_there_is_told_with_those_that_are(words, registered, say):
    code, said = say(*words)
    assert code == 2
    assert f"tiny has no version {words[1]}; there are 1, 2, 3, 4, best-equal" in said


@pytest.mark.parametrize("word", ["status", "history", "promote", "rollback"])
def test_where_nothing_is_registered_what_to_run_is_said(word, project, say):
    code, said = say(word)
    assert code == 2
    assert "no version of tiny is registered yet; `uv run dvc repro` trains and registers one" in said
    os.environ.pop("MLFLOW_TRACKING_URI")
    (project.root / "mlflow.db").unlink()
    assert say(word)[0] == 2
    assert not (project.root / "mlflow.db").exists()
