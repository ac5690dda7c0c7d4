import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.commands.app import main
from pipeline.commands.cache import LOST
from pipeline.common.lru_store import Store
from tests.support.imports import ROOT
from tests.support.structure import HEAVY

IMPORTED = """
import contextlib, io, json, sys
from pipeline.commands.app import main
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    main(["cache", *json.loads(sys.argv[1])])
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


@pytest.fixture
def work(tmp_path):
    """A working folder: files of features, one damaged; two units, a study, a check and a download."""
    features = tmp_path / "work" / "features"
    features.mkdir(parents=True)
    np.save(features / "compact-random-32.cut2.hflip.00ff.npy", np.zeros((48, 32, 4, 4), np.float16))
    np.save(features / "stem.cut4.identity.00fe.npy", np.zeros((48, 128), np.float32))
    (features / "stem.cut1.identity.00fd.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00{")
    for used, name in enumerate(["00fd", "00ff", "00fe"]):
        (path,) = features.glob(f"*.{name}.npy")
        os.utime(path, (used * 86400, used * 86400))
    for name in "ab":
        (tmp_path / "work" / "units" / name).mkdir(parents=True)
        (tmp_path / "work" / "units" / name / "epoch-1.json").write_text("x" * 600)
    (tmp_path / "work" / "optuna.db").write_text("y" * 5000)
    (tmp_path / "work" / "optuna.db.lock").write_text("")
    (tmp_path / "work" / "check").mkdir()
    (tmp_path / "work" / "check" / "photos.csv").write_text("z" * 700)
    (tmp_path / "work" / "downloads" / "FER2013").mkdir(parents=True)
    (tmp_path / "work" / "downloads" / "FER2013" / "fer2013.csv").write_text("mine" * 20)
    (tmp_path / "work" / "other").write_text("mine")
    return tmp_path / "work"


def said(capsys, *argv: object) -> str:
    assert main(["cache", *map(str, argv)]) == 0
    return capsys.readouterr().out


def left(work: Path) -> list[str]:
    return sorted(path.name for path in work.rglob("*") if path.is_file() and ".locks" not in path.parts)


def test_what_is_kept_is_listed_the_last_used_first(work, capsys):
    lines = [line.split() for line in said(capsys, "list", "--work", work).splitlines()]
    assert lines[1][:7] == ["stem", "cut4", "identity", "48", "128", "float32", "24.7"]
    assert lines[2][:8] == ["compact-random-32", "cut2", "hflip", "48", "32x4x4", "float16", "49.3", "kB"]
    assert lines[3][:6] == ["stem", "cut1", "identity", "?", "?", "damaged"]
    assert [line[-2] for line in lines[1:4]] == ["1970-01-03", "1970-01-02", "1970-01-01"]


def test_the_list_ends_with_totals_against_the_limit(work, capsys):
    (work / "features" / ".stem.cut9.identity.00fc.npy.1").write_bytes(bytes(26000))
    shown = said(capsys, "list", "--work", work, "--params", ROOT / "params.yaml").splitlines()
    features, units, studies, checks, downloads = (" ".join(line.split()) for line in shown[-5:])
    assert features == (
        "features 100.0 kB 3 file(s), 1 being written or left by a run that died; limit 20.0 GB (features.cache_gb)"
    )
    assert units == "units 1.2 kB 2 trained recipe(s)"
    assert studies == "studies 5.0 kB the searches' trials (optuna.db)"
    assert checks == "checks 700 B lists of images that cannot be used"
    assert downloads.startswith("downloads 80 B archives of data sets")


def test_an_empty_folder_is_listed_too(tmp_path, capsys):
    shown = said(capsys, "list", "--work", tmp_path, "--params", tmp_path / "none.yaml")
    assert [line.split()[:3] for line in shown.splitlines()] == [
        [name, "0", "B"] for name in ("features", "units", "studies", "checks", "downloads")]  # fmt: skip
    assert "limit unknown" in shown
    assert list(tmp_path.iterdir()) == []


def test_clear_removes_features_alone_and_says_how_much(work, capsys):
    assert said(capsys, "clear", "--work", work) == "removed features: 74.0 kB freed\n"
    kept = ["epoch-1.json", "epoch-1.json", "fer2013.csv", "optuna.db", "optuna.db.lock", "other", "photos.csv"]
    assert left(work) == kept
    assert said(capsys, "clear", "--work", work) == "removed features: 0 B freed\n"


def test_clear_all_says_what_is_lost_and_removes_all_but_downloads(work, capsys):
    shown = said(capsys, "clear", "--all", "--work", work).splitlines()
    assert shown == ["removed features: 74.0 kB freed", LOST, "removed units, studies and checks: 6.9 kB freed"]
    assert "finished trials" in LOST
    assert left(work) == ["fer2013.csv", "other"]


def test_a_link_to_a_folder_elsewhere_is_removed_and_the_folder_is_not(work, tmp_path, capsys):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("")
    (work / "units" / "c").symlink_to(tmp_path / "elsewhere")
    said(capsys, "clear", "--all", "--work", work)
    assert not (work / "units" / "c").is_symlink()
    assert (tmp_path / "elsewhere" / "file").exists()


def test_mapped_features_stay_readable_when_they_are_cleared(work, capsys):
    array = np.load(work / "features" / "stem.cut4.identity.00fe.npy", mmap_mode="r")
    said(capsys, "clear", "--work", work)
    assert Store(work / "features").entries() == []
    assert array.shape == (48, 128)
    assert not array.any()


@pytest.mark.parametrize("command", ["list", "clear"])
def test_a_folder_that_is_not_there_is_explained(tmp_path, capsys, command):
    assert main(["cache", command, "--work", str(tmp_path / "none")]) == 2
    assert "none: no such folder; run from the repository root" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["list", "--work", "."], ["clear", "--work", "."]])
def test_no_command_imports_anything_heavy(argv, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, json.dumps(argv)], capture_output=True, text=True, check=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert not set(json.loads(done.stdout)) & set(HEAVY)
