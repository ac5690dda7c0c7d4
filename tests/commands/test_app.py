"""The command `headstart` as a whole: its help, what it loads, how it ends."""

import json
import os
import signal
import subprocess
import sys
import tomllib

import pytest

from pipeline.commands import app, check
from pipeline.commands.app import main
from tests.support.imports import ROOT

COMMANDS = ("check", "init", "quick", "plan", "status", "report", "rank", "predict", "cache", "cache list",
            "cache clear", "registry", "registry status", "registry history", "registry promote", "registry rollback",
            "registry compare")  # fmt: skip
HEAVY = {"torch", "torchvision", "timm", "mlflow", "optuna", "pandas", "numpy", "scipy", "sklearn", "matplotlib",
         "PIL", "dvc", "ruamel", "tqdm", "fsspec", "rich"}  # fmt: skip
IMPORTED = """
import contextlib, io, json, sys
from pipeline.commands.app import main
told = {}
for words in json.loads(sys.argv[1]):
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as said:
        main([*words.split(), "--help"])
    told[words] = said.getvalue(), [name for name in sys.modules if "." not in name]
print(json.dumps(told))
"""


def python(*words, **how):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, env=environment, check=False, **how)


@pytest.fixture(scope="module")
def helped(tmp_path_factory):
    """The help of each command and what was loaded by then, all from one process."""
    done = python("-c", IMPORTED, json.dumps(["", *COMMANDS]), cwd=tmp_path_factory.mktemp("help"))
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.mark.parametrize("words", ["", *COMMANDS])
def test_help_loads_nothing_heavy(words, helped):
    said, loaded = helped[words]
    assert f"Usage: headstart {words}".rstrip() in said
    assert not HEAVY & set(loaded)


def test_help_names_every_command_with_a_whole_sentence(capsys):
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed] == [
        "check",
        "init",
        "quick",
        "plan",
        "status",
        "report",
        "rank",
        "predict",
        "export",
        "registry",
        "cache",
    ]
    assert all(line.endswith(".") and not line.endswith("...") for line in listed)


@pytest.mark.parametrize("words", [[], ["cache"]])
def test_without_a_command_the_help_is_shown(words, capsys):
    with pytest.raises(SystemExit):
        main(words)
    assert "Commands:" in "".join(capsys.readouterr())


@pytest.mark.parametrize(("words", "said"), [
    (["ckeck"], "No such command 'ckeck'. Did you mean 'check'?"), (["check"], "Missing argument 'FOLDER'"),
    (["check", "a", "b"], "unexpected extra argument(s) (b)"), (["status", "--fast"], "No such option: --fast"),
    (["cache", "remove"], "No such command 'remove'"), (["cache", "clear", "--everything"], "No such option"),
    (["rank", "--image-size", "big"], "Invalid value for '--image-size'"),
])  # fmt: skip
def test_words_that_make_no_command_end_with_2_and_the_usage(words, said, capsys):
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith("Usage: headstart")
    assert said in err


def test_what_a_user_can_mend_ends_with_2(tmp_path, capsys):
    assert main(["check", str(tmp_path), "--params", str(tmp_path / "none.yaml")]) == 2
    assert f"error: {tmp_path / 'none.yaml'}: no such file" in capsys.readouterr().err


def test_ctrl_c_ends_with_130_in_one_line(monkeypatch, capsys, tmp_path):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "look", interrupted)
    assert main(["check", str(tmp_path)]) == 130
    assert capsys.readouterr().err.strip().startswith("stopped;")
    assert len(capsys.readouterr().err.splitlines()) <= 1


def test_our_own_mistakes_keep_their_traceback(monkeypatch, tmp_path):
    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(check, "look", broken)
    with pytest.raises(ZeroDivisionError):
        main(["check", str(tmp_path)])


def test_the_module_does_what_the_command_does(tmp_path):
    done = python("-m", "pipeline.commands", "report", cwd=tmp_path)
    assert done.returncode == 2
    assert "there is no report yet" in done.stderr


def test_a_signal_from_the_terminal_ends_it(tmp_path, small_params, write_params):
    """Ctrl-C while files are read, by several processes."""
    write_params(tmp_path, small_params)
    (tmp_path / "photos" / "a").mkdir(parents=True)
    for number in range(4000):
        (tmp_path / "photos" / "a" / f"{number}.png").write_bytes(b"junk" * 5000)
    words = [sys.executable, "-m", "pipeline.commands", "check", "photos"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(words, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as started:
        said = started.stderr.read(1)  # the bar: it reads
        started.send_signal(signal.SIGINT)
        said += started.stderr.read()
        assert started.wait(20) == 130
    assert said.endswith("stopped; what is finished is kept. Run the same command again to continue.\n")
    assert "Traceback" not in said


def test_the_script_of_the_package_is_this_command():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, name = project["scripts"]["headstart"].partition(":")
    assert (module, getattr(app, name)) == ("pipeline.commands.app", app.run)
