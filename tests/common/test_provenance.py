import subprocess

import pandas as pd

from pipeline.common.provenance import about, commit


def git(folder, *words):
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


def test_the_commit_is_marked_where_files_differ_from_it(tmp_path):
    assert commit(tmp_path) == ""
    git(tmp_path, "init")
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-m", "first")
    clean = commit(tmp_path)
    assert len(clean) == 40
    (tmp_path / "file").write_text("two")
    assert commit(tmp_path) == f"{clean}-dirty"


def test_what_it_takes_to_reproduce_is_reported(tmp_path):
    pd.DataFrame({"id": ["07", "a"], "path": ["x.png", "y.png"], "label": ["l", "l"]}).to_csv(tmp_path / "m.csv")
    told = about(tmp_path, tmp_path / "m.csv")
    assert told["paths"] == {"07": "x.png", "a": "y.png"}
    assert told["commands"] == ["pip install uv", "uv run dvc repro"]
    assert {"torch", "optuna", "dvc"} <= set(told["versions"])
