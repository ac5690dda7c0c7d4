import shutil

import pytest

from pipeline.stages.describe import main


@pytest.fixture
def run(prepared, tmp_path, capsys):
    """A function that describes copies of train, valid and the summary, where there is no test split."""
    shutil.copytree(prepared.dev, tmp_path / "dev")
    paths = {"dev": tmp_path / "dev", "data": prepared.summary / "summary.json", "out": tmp_path / "out"}

    def run():
        code = main([str(word) for name, path in paths.items() for word in (f"--{name}", path)])
        return code, capsys.readouterr().err

    return run


def test_it_writes_the_report_and_its_pictures_without_the_test_split_and_the_same_again(run, tmp_path):
    def written():
        return {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    assert run() == (0, "")
    first = written()
    assert sorted(first) == ["contact_sheet.png", "report.md", "sizes.png"]
    assert run() == (0, "")
    assert written() == first


@pytest.mark.parametrize("name", ["images.npy", "manifest.csv"])
def test_a_damaged_split_is_named(run, tmp_path, name):
    (tmp_path / "dev" / name).write_bytes(b"")
    code, text = run()
    assert code == 2
    assert name in text
    assert "delete it and run: uv run dvc repro" in text
    assert not (tmp_path / "out").exists()
