import json
import os
import subprocess
import sys
import threading
import time

import pytest
import yaml

from pipeline.commands.dvc_stages import StageStatus, stages
from pipeline.common.errors import UserError

COPY = "python -c \"import sys, json; open(sys.argv[2], 'w').write(open(sys.argv[1]).read())\""
TIME = "python -c \"import json; json.dump({'wall_seconds': 61.5}, open('timings/b.json', 'w'))\""
STAGES = {
    "c": {"cmd": f"{COPY} b.txt c.txt", "deps": ["b.txt"], "outs": ["c.txt"]},
    "a": {"cmd": f"{COPY} in.txt a.txt", "deps": ["in.txt"], "params": ["one.x"], "outs": ["a.txt"]},
    "b": {"cmd": [f"{COPY} a.txt b.txt", TIME], "deps": ["a.txt", "code"], "outs": ["b.txt", "timings/b.json"]},
}  # fmt: skip


def dvc(root, *words, **how):
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    return subprocess.run([sys.executable, "-m", "dvc", *words], cwd=root, env={**os.environ, "PATH": path}, check=True,
                          capture_output=True, **how)  # fmt: skip


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A repository of three stages, a -> b -> c, that have not been run."""
    root = tmp_path_factory.mktemp("template")
    dvc(root, "init", "--no-scm", "-q")
    dvc(root, "config", "core.analytics", "false")
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}, sort_keys=False))
    (root / "params.yaml").write_text("one: {x: 1, y: 1}\n")
    (root / "in.txt").write_text("in")
    (root / "code").mkdir()
    (root / "timings").mkdir()
    (root / "code" / "b.py").write_text("1")
    return root


def clone(template, root):
    subprocess.run(["cp", "-r", str(template), str(root)], check=True)
    return root


@pytest.fixture(scope="module")
def run_once(template, tmp_path_factory):
    root = clone(template, tmp_path_factory.mktemp("run") / "repo")
    dvc(root, "repro")
    return root


@pytest.fixture
def repository(run_once, tmp_path):
    """The same, run."""
    return clone(run_once, tmp_path / "repo")


def test_before_the_first_run_nothing_is_done_and_no_time_known(template):
    assert stages(template) == [
        StageStatus("a", never=True), StageStatus("b", never=True, waits=("a",)),
        StageStatus("c", never=True, waits=("b",)),
    ]  # fmt: skip


def test_after_a_run_all_is_done_and_times_are_those_that_were_left(repository):
    found = stages(repository)
    assert [(s.name, s.done, s.seconds) for s in found] == [("a", True, None), ("b", True, 61.5), ("c", True, None)]


def test_a_changed_setting_is_named_and_what_follows_waits(repository):
    (repository / "params.yaml").write_text("one: {x: 2, y: 2}\n")
    a, b, c = stages(repository)
    assert a == StageStatus("a", changes=("one.x",))
    assert b == StageStatus("b", waits=("a",), seconds=61.5)
    assert c == StageStatus("c", waits=("b",))


def test_changed_code_commands_inputs_and_results_are_named(repository):
    (repository / "code" / "b.py").write_text("2")
    (repository / "c.txt").unlink()
    changed = {"stages": STAGES | {"a": STAGES["a"] | {"cmd": "true"}}}
    (repository / "dvc.yaml").write_text(yaml.safe_dump(changed, sort_keys=False))
    a, b, c = stages(repository)
    assert a.changes == ("its command",)
    assert b.changes == ("code",)
    assert c.changes == ("c.txt (deleted)",)


def test_what_dvc_would_do_is_what_is_reported(repository):
    (repository / "code" / "b.py").write_text("2")
    said = dvc(repository, "repro", text=True).stdout
    assert "Running stage 'b'" in said
    assert "Stage 'a' didn't change, skipping" in said
    assert all(stage.done for stage in stages(repository))


def test_data_that_dvc_tracks_is_no_stage_and_changes_no_order(repository):
    dvc(repository, "add", "in.txt", "-q")
    extra = {"z": {"cmd": "true", "deps": ["code"]}}
    (repository / "dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES | extra}, sort_keys=False))
    assert [stage.name for stage in stages(repository)] == ["a", "b", "c", "z"]


def test_a_run_that_is_going_on_is_seen_and_not_disturbed(repository):
    slow = STAGES["b"]["cmd"][0].replace("import sys, json;", "import sys, time; time.sleep(6);")
    changed = {"stages": STAGES | {"b": STAGES["b"] | {"cmd": [slow, TIME]}}}
    (repository / "dvc.yaml").write_text(yaml.safe_dump(changed, sort_keys=False))
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    command = [sys.executable, "-m", "dvc", "repro"]
    with subprocess.Popen(command, cwd=repository, env={**os.environ, "PATH": path}, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as running:  # fmt: skip
        end = time.monotonic() + 60
        found = stages(repository)
        while not found[1].running:
            assert time.monotonic() < end
            assert running.poll() is None
            found = stages(repository)
        assert [(stage.name, stage.running) for stage in found] == [("a", False), ("b", True), ("c", False)]
        assert running.wait() == 0
    assert all(stage.done for stage in stages(repository))


def test_what_a_run_removes_while_it_is_looked_at_is_said_to_be_gone(repository):
    file, ended = repository / "b.txt", threading.Event()
    kept = file.read_bytes()

    def come_and_go():
        while not ended.is_set():
            file.unlink()
            file.write_bytes(kept)

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        found = [stages(repository)[1] for _ in range(30)]
    finally:
        ended.set()
        thread.join()
    assert all(change.startswith("b.txt (") for stage in found for change in stage.changes)
    assert stages(repository)[1].done


def test_a_run_that_was_killed_is_not_going_on(repository):
    writing = {str(repository / "b.txt"): {"pid": 2**22 + 1, "cmd": "dvc repro"}}  # more than a process may have
    (repository / ".dvc" / "tmp" / "rwlock").write_text(json.dumps({"write": writing, "read": {}}))
    assert not any(stage.running for stage in stages(repository))


@pytest.mark.parametrize("wrong", ["stages: [", "stages: {a: {cmd: 'true', deps: ['${nothing}']}}"])
def test_what_dvc_cannot_read_is_an_error_in_its_words(repository, wrong):
    (repository / "dvc.yaml").write_text(wrong)
    with pytest.raises(UserError, match=r"DVC cannot say what there is to do: .*dvc\.yaml"):
        stages(repository)


def test_without_a_repository_it_is_an_error(tmp_path):
    with pytest.raises(UserError, match="not inside of a DVC repository"):
        stages(tmp_path)
